//! How a refusal crosses gRPC: one way for all services, so that a gateway finds code and sentence without guessing.

use message::Refusal;
use tonic::{Code, Status, metadata::MetadataValue};

/// Metadata key of the stable code.
pub const REFUSAL_CODE: &str = "refusal-code";
/// Metadata key of `true` when the same request may succeed later.
pub const REFUSAL_RETRYABLE: &str = "refusal-retryable";
/// Metadata key of the request field that is not acceptable.
pub const REFUSAL_FIELD: &str = "refusal-field";

/// The status that carries `refusal`; `code` as common.proto says.
pub fn refused(code: Code, refusal: &Refusal) -> Status {
    let mut status = Status::new(code, refusal.message.clone());
    put(&mut status, REFUSAL_CODE, &refusal.code);
    if refusal.retryable {
        put(&mut status, REFUSAL_RETRYABLE, "true");
    }
    status
}

/// The status for a field that is not acceptable: `platform.invalid`.
pub fn invalid(field: &str, why: impl Into<String>) -> Status {
    let mut status = refused(Code::InvalidArgument, &Refusal::new("platform.invalid", why));
    put(&mut status, REFUSAL_FIELD, field);
    status
}

/// The refusal that a status carries; `None` when it is a failure instead.
pub fn refusal(status: &Status) -> Option<Refusal> {
    Some(Refusal {
        code: get(status, REFUSAL_CODE)?.to_owned(),
        message: status.message().to_owned(),
        retryable: get(status, REFUSAL_RETRYABLE) == Some("true"),
    })
}

/// The field that a refusal is about, if it is about one.
pub fn refused_field(status: &Status) -> Option<&str> {
    get(status, REFUSAL_FIELD)
}

/// Codes and field names are ASCII; anything else is left out rather than sent broken.
fn put(status: &mut Status, key: &'static str, value: &str) {
    if let Ok(value) = MetadataValue::try_from(value) {
        status.metadata_mut().insert(key, value);
    }
}

fn get<'a>(status: &'a Status, key: &str) -> Option<&'a str> {
    status.metadata().get(key)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_read_back_from_its_status() {
        for sent in
            [Refusal::new("orders.basket_empty", "put something in"), Refusal::retryable("depot.no_bay", "wait")]
        {
            let status = refused(Code::FailedPrecondition, &sent);
            assert_eq!(refusal(&status), Some(sent));
            assert_eq!(refused_field(&status), None);
        }
    }

    #[test]
    fn an_unacceptable_field_is_named() {
        let status = invalid("phone", "give a phone number");
        assert_eq!((status.code(), refused_field(&status)), (Code::InvalidArgument, Some("phone")));
        assert_eq!(refusal(&status).map(|r| r.code), Some("platform.invalid".to_owned()));
    }

    #[test]
    fn a_failure_is_no_refusal() {
        assert_eq!(refusal(&Status::unavailable("the database is away")), None);
    }
}
