//! A stream: the messages of one aggregate on one topic, numbered 1, 2, 3 … without gaps.

use std::{fmt, sync::Arc};

/// (source context, aggregate type, aggregate id, topic). Order, duplicates and completeness are judged per stream.
///
/// One shared text, `source/type/id@topic`, which is also its name in tables: a clone costs nothing.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Stream {
    text: Arc<str>,
    /// Where type, id and topic begin.
    at: [usize; 3],
}

impl Stream {
    pub fn new(source: &str, aggregate_type: &str, aggregate_id: &str, topic: &str) -> Self {
        let parts = [source, "/", aggregate_type, "/", aggregate_id, "@", topic];
        let aggregate_type_at = source.len() + 1;
        let aggregate_id_at = aggregate_type_at + aggregate_type.len() + 1;
        let topic_at = aggregate_id_at + aggregate_id.len() + 1;
        Self { text: parts.concat().into(), at: [aggregate_type_at, aggregate_id_at, topic_at] }
    }

    pub fn source(&self) -> &str {
        &self.text[..self.at[0] - 1]
    }

    pub fn aggregate_type(&self) -> &str {
        &self.text[self.at[0]..self.at[1] - 1]
    }

    pub fn aggregate_id(&self) -> &str {
        &self.text[self.at[1]..self.at[2] - 1]
    }

    pub fn topic(&self) -> &str {
        &self.text[self.at[2]..]
    }

    /// `ce_subject` of every message of the stream: type and id.
    pub fn subject(&self) -> &str {
        &self.text[self.at[0]..self.at[2] - 1]
    }

    /// Its name in tables.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// As [`Stream::as_str`], to be kept.
    pub fn name(&self) -> Arc<str> {
        self.text.clone()
    }
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_gives_back_its_parts_whatever_they_hold() {
        for parts in [["orders", "order", "1", "t"], ["", "", "", ""], ["a/b", "ü", "c/d@e", "f@g"]] {
            let [source, kind, id, topic] = parts;
            let stream = Stream::new(source, kind, id, topic);
            assert_eq!([stream.source(), stream.aggregate_type(), stream.aggregate_id(), stream.topic()], parts);
            assert_eq!(stream.subject(), format!("{kind}/{id}"));
            assert_eq!(stream.to_string(), format!("{source}/{kind}/{id}@{topic}"));
        }
    }

    #[test]
    fn streams_are_told_apart_by_their_parts() {
        assert_ne!(Stream::new("a/b", "c", "d", "t"), Stream::new("a", "b/c", "d", "t"));
        assert_eq!(Stream::new("a", "b", "c", "t"), Stream::new("a", "b", "c", "t"));
    }
}
