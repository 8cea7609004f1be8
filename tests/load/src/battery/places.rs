//! Which process passes which of the places at which it can be told to die.

use transport::failpoint::Place;

/// The places of its code that a process passes when it does its work; none for gateways, provider and robots, which are not
/// built on the shell, and for stores, which has nothing to do once the mall is open.
pub(super) fn places(name: &str) -> Vec<Place> {
    use Place::*;
    let relay = [ProduceBefore, ProduceSent, ProduceAfter, DeleteAfter];
    let reads = [SaveBefore, CommitBefore, CommitSent, CommitAfter, OffsetBefore, OffsetStored, OffsetCommitted];
    let mut places = match name.split('#').next().unwrap_or_default() {
        "relay" => relay.to_vec(),
        "search" => reads.to_vec(),
        "orders" | "payments" | "depot" | "orchestrator" | "notifications" => [&reads[..], &relay].concat(),
        _ => Vec::new(),
    };
    match name.split('#').next().unwrap_or_default() {
        "payments" => places.extend([CallBefore, CallAfter, TimerBefore, TimerAfter]),
        "depot" | "orchestrator" | "orders" => places.extend([TimerBefore, TimerAfter]),
        _ => {}
    }
    places
}

/// The most passes before a death while `rate` customers come a second: most processes live for some ten seconds. As found at
/// 35 a second.
pub(super) fn most_passes(place: Place, rate: u32) -> u64 {
    let most = match place {
        Place::TimerBefore | Place::TimerAfter => 3,
        Place::OffsetCommitted => 4,
        Place::CallBefore | Place::CallAfter => 8,
        Place::SaveBefore
        | Place::CommitBefore
        | Place::CommitSent
        | Place::CommitAfter
        | Place::ProduceBefore
        | Place::ProduceSent
        | Place::ProduceAfter
        | Place::DeleteAfter
        | Place::OffsetBefore
        | Place::OffsetStored => 30,
    };
    (most * u64::from(rate) / 35).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_place_has_a_role_that_is_told_to_die_there() {
        let roles = crate::platform::ROLES.into_iter().chain(["relay#orders"]);
        let passed: BTreeSet<_> = roles.flat_map(places).collect();
        assert_eq!(passed, BTreeSet::from(Place::ALL));
    }
}
