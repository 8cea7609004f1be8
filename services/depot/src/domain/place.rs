//! The depot's own copy of where stores are, fed by the catalogue topic, so that planning needs nobody else.

use schemas::stores::{CatalogueStore, Location};
use serde::{Deserialize, Serialize};
use transport::Aggregate;

/// The depot is the origin of the mall's grid.
pub const DEPOT: Location = Location { level: 0, x: 0, y: 0 };

/// What one change of floors is worth in metres, when ways are compared.
const METRES_PER_LEVEL: u32 = 50;

/// Name and place of a store. A closed store keeps its row, so that an older record cannot bring it back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorePlace {
    pub name: String,
    pub location: Location,
    pub version: i64,
    #[serde(default)]
    pub closed: bool,
}

impl Aggregate for StorePlace {
    const KIND: &'static str = "store_place";

    fn status(&self) -> &'static str {
        if self.closed { "closed" } else { "open" }
    }
}

impl StorePlace {
    /// The copy after a catalogue record; `None` when it knows better already.
    pub fn updated(known: Option<&Self>, record: &CatalogueStore) -> Option<Self> {
        let older = known.is_some_and(|known| known.closed || known.version >= record.version);
        (!older).then(|| Self {
            name: record.name.clone(),
            location: record.location,
            version: record.version,
            closed: false,
        })
    }

    /// The copy after a deletion: id and version stay.
    pub fn gone(known: Option<Self>) -> Self {
        let unknown = Self { name: String::new(), location: DEPOT, version: 0, closed: true };
        known.map_or(unknown, |known| Self { closed: true, ..known })
    }
}

/// How far apart two places are, in metres to walk.
pub fn distance(a: Location, b: Location) -> u64 {
    let flat = u64::from(a.x.abs_diff(b.x)) + u64::from(a.y.abs_diff(b.y));
    flat + u64::from(a.level.abs_diff(b.level)) * u64::from(METRES_PER_LEVEL)
}

#[cfg(test)]
mod tests {
    use super::*;
    use schemas::ids::StoreId;
    use uuid::Uuid;

    fn record(version: i64) -> CatalogueStore {
        CatalogueStore {
            store_id: StoreId::from(Uuid::from_u128(1)),
            name: format!("v{version}"),
            location: Location { level: 1, x: 2, y: 3 },
            participating: true,
            version,
        }
    }

    #[test]
    fn the_newer_record_wins_whatever_the_order() {
        let second = StorePlace::updated(None, &record(2)).unwrap();
        assert_eq!(StorePlace::updated(Some(&second), &record(1)), None);
        assert_eq!(StorePlace::updated(Some(&second), &record(2)), None);
        assert_eq!(StorePlace::updated(Some(&second), &record(3)).unwrap().name, "v3");
    }

    #[test]
    fn a_closed_store_keeps_its_version_and_does_not_come_back() {
        let gone = StorePlace::gone(StorePlace::updated(None, &record(2)));
        assert_eq!((gone.closed, gone.version), (true, 2));
        assert_eq!(StorePlace::updated(Some(&gone), &record(3)), None);
        assert!(StorePlace::gone(None).closed);
    }

    #[test]
    fn floors_cost_more_than_metres() {
        let up = Location { level: 1, x: 0, y: 0 };
        assert_eq!(distance(DEPOT, up), 50);
        assert_eq!(distance(Location { level: 0, x: -3, y: 4 }, DEPOT), 7);
        assert_eq!(
            distance(
                Location { level: i32::MIN, x: i32::MIN, y: i32::MIN },
                Location { level: i32::MAX, x: i32::MAX, y: i32::MAX }
            ),
            52 * u64::from(u32::MAX)
        );
    }
}
