//! The gRPC contract: what reflection shows, and that values cross between the API and ours unharmed or are refused.

use prost::Message;
use schemas::{
    grpc::{self, common},
    ids::ProductId,
    lines::LineCount,
    money::{Currency, Money},
    quantity::Quantity,
    stores::Location,
};

const UUID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

#[test]
fn reflection_shows_a_service_for_every_context_and_one_for_robots() {
    let files = prost_types::FileDescriptorSet::decode(grpc::DESCRIPTORS).unwrap();
    let mut services: Vec<_> = files.file.iter().flat_map(|f| &f.service).map(|s| s.name().to_owned()).collect();
    services.sort();
    assert_eq!(
        services,
        ["Depot", "Notifications", "Orchestrator", "Orders", "Payments", "RobotGateway", "Search", "Stores"]
    );
}

#[test]
fn each_file_has_the_package_of_its_context() {
    let files = prost_types::FileDescriptorSet::decode(grpc::DESCRIPTORS).unwrap();
    for file in &files.file {
        let context = file.name().strip_suffix(".proto").unwrap();
        assert_eq!(file.package(), format!("mallbots.{context}.v1"));
    }
}

#[test]
fn money_location_and_lines_come_back_as_they_went() {
    let money = Money::new(-1234, Currency::EUR);
    assert_eq!(Money::try_from(common::Money::from(money)), Ok(money));
    let at = Location { level: -1, x: 30, y: -7 };
    assert_eq!(Location::from(common::Location::from(at)), at);
    let line = LineCount { product_id: ProductId::parse(UUID).unwrap(), quantity: Quantity::MAX };
    assert_eq!(LineCount::try_from(common::LineCount::from(line)), Ok(line));
}

#[test]
fn what_the_domain_does_not_have_is_refused_at_the_border() {
    assert!(Money::try_from(common::Money { amount: 1, currency: "eur".into() }).is_err());
    for (id, quantity) in [(UUID, 0), (UUID, 1000), (UUID, u32::MAX), ("7", 1)] {
        assert!(LineCount::try_from(common::LineCount { product_id: id.into(), quantity }).is_err());
    }
}

#[test]
fn a_page_is_never_empty_and_never_too_large() {
    let limit = |page_size| common::Page { page_size, page_token: String::new() }.limit();
    assert_eq!([0, 1, 500, 501, u32::MAX].map(limit), [50, 1, 500, 500, 500]);
}
