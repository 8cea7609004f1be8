//! The schema registry: ids of our schemas at start-up, schemas of unknown ids at run time.

use crate::{codec::Codec, error::Error};
use schema_registry_converter::{
    async_impl::schema_registry::{SrSettings, get_schema_by_id_and_type, get_schema_by_subject},
    error::SRCError,
    schema_registry_common::{SchemaType, SubjectNameStrategy, SuppliedSchema},
};
use std::{collections::HashMap, sync::Arc, time::Duration};

/// A Confluent-compatible registry.
#[derive(Clone)]
pub struct Registry {
    settings: Arc<SrSettings>,
}

impl Registry {
    /// `url` is the base of the Confluent-compatible API.
    pub fn new(url: &str) -> Result<Self, Error> {
        let settings = SrSettings::new_builder(url.trim_end_matches('/').to_owned())
            .set_timeout(Duration::from_secs(5))
            .build()
            .map_err(|e| Error::Fatal(format!("schema registry {url}: {e}")))?;
        Ok(Self { settings: Arc::new(settings) })
    }

    /// A codec with the ids under which the registry knows our schemas. [`Error::Retry`] while it cannot be reached,
    /// [`Error::Fatal`] when a schema is not registered.
    pub async fn codec(&self) -> Result<Codec, Error> {
        let mut ids = HashMap::new();
        for schema in schemas::all() {
            let strategy = SubjectNameStrategy::RecordNameStrategyWithSchema(supplied(schema.name, schema.avsc));
            let registered = get_schema_by_subject(&self.settings, &strategy).await;
            let registered = registered.map_err(|e| sort(e, || format!("look up {}", schema.name)))?;
            ids.insert(schema.name, registered.id);
        }
        Codec::new(|name| ids.get(name).copied())
    }

    /// Teaches `codec` the schema with this id. [`Error::Poison`] when the registry says that there is none.
    pub async fn teach(&self, codec: &Codec, schema_id: u32) -> Result<(), Error> {
        let found = get_schema_by_id_and_type(schema_id, &self.settings, SchemaType::Avro).await;
        let found = found.map_err(|e| sort(e, || format!("schema id {schema_id}")))?;
        codec.learn(schema_id, &found.schema)
    }
}

fn supplied(name: &str, avsc: &str) -> SuppliedSchema {
    SuppliedSchema::new(Some(name.to_owned()), SchemaType::Avro, avsc.to_owned())
}

/// It did not answer, or could not: asked again. It answered with a no, or with what is not Avro: that stays so.
fn sort(error: SRCError, what: impl Fn() -> String) -> Error {
    let text = error.to_string();
    let passes = match status(&error.error) {
        // Credentials, time and rates are for operators to mend; meanwhile the record waits.
        Some(401 | 403 | 408 | 429) => true,
        Some(status) => status >= 500,
        None => error.retriable || error.error.contains("could not parse"),
    };
    if passes {
        Error::Retry { what: "schema registry", why: format!("{}: {text}", what()) }
    } else {
        Error::Poison(format!("{}: the registry has none: {text}", what()))
    }
}

/// The HTTP status that the client's error tells of.
fn status(error: &str) -> Option<u16> {
    error.split("with status ").nth(1)?.get(..3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(text: &str, retriable: bool) -> bool {
        matches!(sort(SRCError::new(text, None, retriable), String::new), Error::Retry { .. })
    }

    #[test]
    fn an_answer_that_stays_no_parks_and_everything_else_waits() {
        let failed = |status: &str| format!("HTTP request to schema registry failed with status {status}");
        for status in ["404 Not Found", "400 Bad Request", "422 Unprocessable Entity"] {
            assert!(!waits(&failed(status), false), "{status}");
        }
        for status in ["500 Internal Server Error", "503 Service Unavailable", "401 Unauthorized", "429 Too Many"] {
            assert!(waits(&failed(status), false), "{status}");
        }
        assert!(waits("http call to schema registry failed", true));
        assert!(waits("could not parse to RawRegisteredSchema", false));
        assert!(!waits("type PROTOBUF isn't supported", false));
    }
}
