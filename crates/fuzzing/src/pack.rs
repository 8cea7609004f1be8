//! Rows of the outbox: bytes of our own database, which may be torn all the same.

use crate::cut::{Cut, Glue};
use message::Headers;
use transport::{Error, ports::OutboxRow, postgres};

/// The input is what stands inside the compression, so that changes of it are changes of the messages.
const INSIDE: u8 = 1;

/// The input: whether a pack as its column has it follows, or what is inside one.
pub fn pack(bytes: &[u8]) {
    let mut cut = Cut::new(bytes);
    let rows = if cut.flags().has(INSIDE) { unpack(&closed(cut.rest())) } else { unpack(cut.rest()) };
    for row in rows.unwrap_or_default() {
        let headers = row.record.headers.as_bytes().to_vec();
        assert_eq!(Headers::from_bytes(headers).as_ref(), Some(&row.record.headers));
    }
}

fn unpack(pack: &[u8]) -> Result<Vec<OutboxRow>, Error> {
    postgres::unpack(1, 0, 0, 0, pack)
}

/// As the transport closes a pack: format, length, LZ4.
fn closed(inside: &[u8]) -> Vec<u8> {
    [&[1], lz4_flex::compress_prepend_size(inside).as_slice()].concat()
}

/// Two messages, and as many empty ones as a pack can hold, the last of them torn.
pub fn seeds() -> Vec<(String, Vec<u8>)> {
    let headers: Headers = [("ce_id", "1"), ("ce_type", "x")].into_iter().collect();
    let (long, none) = (vec![7; 300], None::<&[u8]>);
    let messages = [
        postcard::to_allocvec(&("s/t/1@t", 1_u64, "t", "key", headers.as_bytes(), Some(long.as_slice()))),
        postcard::to_allocvec(&("s/t/1@t", 2_u64, "t", "key", headers.as_bytes(), none)),
    ];
    let inside = messages.map(|bytes| bytes.unwrap_or_else(|e| panic!("a message of the outbox: {e}"))).concat();
    let most = closed(&vec![0; 1024 * 1024]);
    [
        ("two", Glue::default().byte(0).rest(closed(&inside))),
        ("two-inside", Glue::default().byte(INSIDE).rest(&inside)),
        ("most", Glue::default().byte(0).rest(most)),
    ]
    .map(|(name, bytes)| (name.to_owned(), bytes))
    .to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seeds_are_packs() {
        let rows = |at: usize| unpack(&seeds()[at].1[1..]).map(|rows| rows.len());
        assert_eq!(rows(0).unwrap(), 2);
        // Full to the last byte of what a pack may hold, with a message that is cut off there.
        assert!(matches!(rows(2), Err(Error::Poison(_))));
    }
}
