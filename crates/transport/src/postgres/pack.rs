//! Rows of the outbox: what one transaction sends through one shard, packed together.
//!
//! A row costs the database much the same whether it holds one message or thirty, and the headers of messages that leave
//! together say much the same. A pack is a byte 1, the number of its bytes before compression (little-endian, four bytes), and
//! the messages (in postcard's format) as one LZ4 block.

use crate::{
    error::Error,
    ports::{NewRecord, OutboxRow},
};
use message::{Headers, headers};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use uuid::Uuid;

const FORMAT: u8 = 1;
/// A pack is closed when its messages have this many bytes: compressed, it then fits a page of the database.
const FULL_BYTES: usize = 24 * 1024;
/// No pack is larger, before compression: there is room for one message at its limit in a pack that was almost full.
const MOST_BYTES: usize = 1024 * 1024;

#[derive(Serialize, Deserialize)]
struct Packed<'a> {
    stream: &'a str,
    seq: u64,
    topic: &'a str,
    key: &'a str,
    #[serde(with = "serde_bytes", borrow)]
    headers: &'a [u8],
    #[serde(with = "serde_bytes", borrow)]
    value: Option<&'a [u8]>,
}

/// A row that is being written.
pub(super) struct Pack {
    pub shard: i16,
    pub created_ms: i64,
    pub messages: i32,
    /// The sagas its commands and replies belong to.
    pub sagas: Vec<Uuid>,
    bytes: Vec<u8>,
}

impl Pack {
    fn new(row: &OutboxRow) -> Self {
        Self { shard: row.shard, created_ms: row.created_ms, messages: 0, sagas: Vec::new(), bytes: Vec::new() }
    }

    fn takes(&self, row: &OutboxRow) -> bool {
        self.bytes.len() < FULL_BYTES && self.created_ms == row.created_ms
    }

    fn push(&mut self, row: &OutboxRow) -> Result<(), Error> {
        let packed = Packed {
            stream: &row.stream,
            seq: row.seq,
            topic: &row.record.topic,
            key: &row.record.key,
            headers: row.record.headers.as_bytes(),
            value: row.record.value.as_deref(),
        };
        let bytes = std::mem::take(&mut self.bytes);
        self.bytes = postcard::to_extend(&packed, bytes).map_err(|e| Error::Poison(format!("outbox: {e}")))?;
        if self.bytes.len() > MOST_BYTES {
            return Err(Error::Poison(format!("a message of {} bytes for the outbox", self.bytes.len())));
        }
        self.messages += 1;
        let saga = row.record.headers.get(headers::SAGA_ID).and_then(|id| std::str::from_utf8(id).ok()?.parse().ok());
        self.sagas.extend(saga.filter(|id| self.sagas.last() != Some(id)));
        Ok(())
    }

    /// The column's value.
    pub fn close(&self) -> Vec<u8> {
        let mut bytes = vec![FORMAT];
        bytes.extend(lz4_flex::compress_prepend_size(&self.bytes));
        bytes
    }
}

/// The rows in one order that keeps the order within each shard, and for each message the index of its row.
pub(super) fn pack(rows: &[OutboxRow]) -> Result<(Vec<Pack>, Vec<usize>), Error> {
    let (mut packs, mut places): (Vec<Pack>, _) = (Vec::new(), Vec::with_capacity(rows.len()));
    let mut open: HashMap<i16, usize> = HashMap::new();
    for row in rows {
        let at = match open.get(&row.shard).copied().filter(|at| packs[*at].takes(row)) {
            Some(at) => at,
            None => {
                packs.push(Pack::new(row));
                open.insert(row.shard, packs.len() - 1);
                packs.len() - 1
            }
        };
        packs[at].push(row)?;
        places.push(at);
    }
    Ok((packs, places))
}

/// The messages of a pack, in order, with the id, the table and the shard of their row.
pub fn unpack(id: i64, table: i16, shard: i16, created_ms: i64, pack: &[u8]) -> Result<Vec<OutboxRow>, Error> {
    let torn = |why: &dyn std::fmt::Display| Error::Poison(format!("row {id} of the outbox cannot be read: {why}"));
    let (format, size) = match pack {
        [format, a, b, c, d, ..] => (*format, u32::from_le_bytes([*a, *b, *c, *d]) as usize),
        _ => return Err(torn(&"it is too short")),
    };
    if format != FORMAT || size > MOST_BYTES {
        return Err(torn(&format!("format {format}, {size} bytes")));
    }
    let bytes = lz4_flex::decompress_size_prepended(&pack[1..]).map_err(|e| torn(&e))?;
    let (mut rest, mut rows) = (bytes.as_slice(), Vec::new());
    while !rest.is_empty() {
        let (packed, left) = postcard::take_from_bytes::<Packed<'_>>(rest).map_err(|e| torn(&e))?;
        rest = left;
        let headers = Headers::from_bytes(packed.headers.to_vec()).ok_or_else(|| torn(&"torn headers"))?;
        let (topic, key) = (packed.topic.to_owned(), packed.key.to_owned());
        let record = NewRecord { topic, key, headers, value: packed.value.map(<[u8]>::to_vec) };
        let (stream, seq) = (packed.stream.into(), packed.seq);
        rows.push(OutboxRow { id, table, shard, stream, seq, record, created_ms });
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(shard: i16, seq: u64, value: Option<Vec<u8>>) -> OutboxRow {
        let headers =
            [("ce_id", "1"), (headers::SAGA_ID, "01890a5d-ac96-774b-bcce-b302099a8057")].into_iter().collect();
        let record = NewRecord { topic: "t".into(), key: format!("k{shard}"), headers, value };
        OutboxRow { id: 0, table: 0, shard, stream: format!("s{shard}").into(), seq, record, created_ms: 5 }
    }

    fn opened(packs: &[Pack]) -> Vec<OutboxRow> {
        let rows = packs.iter().map(|p| unpack(0, 0, p.shard, p.created_ms, &p.close()).unwrap());
        rows.flatten().collect()
    }

    #[test]
    fn what_is_packed_is_unpacked_in_the_order_of_each_shard() {
        let values = [None, Some(vec![]), Some(vec![0, 255]), Some(vec![7; 30_000]), Some(vec![8; 256 * 1024])];
        let rows: Vec<_> = (0..200).map(|n| row(n % 3, n as u64, values[n as usize % values.len()].clone())).collect();
        let (packs, places) = pack(&rows).unwrap();
        assert!(packs.len() < rows.len() && packs.len() > 3);
        for shard in 0..3 {
            let of = |rows: &[OutboxRow]| -> Vec<_> { rows.iter().filter(|r| r.shard == shard).cloned().collect() };
            assert_eq!(of(&opened(&packs)), of(&rows));
        }
        for (row, at) in rows.iter().zip(places) {
            assert!(opened(&packs[at..=at]).contains(row));
        }
        assert!(packs.iter().all(|pack| pack.sagas.len() == 1));
    }

    #[test]
    fn a_full_pack_of_like_messages_fits_a_page() {
        let rows: Vec<_> = (0..500).map(|n| row(0, n, Some(n.to_le_bytes().to_vec()))).collect();
        let (packs, _) = pack(&rows).unwrap();
        assert!(packs.iter().all(|p| p.close().len() < 8_000), "{:?}", packs.iter().map(|p| p.close().len()).max());
    }

    #[test]
    fn torn_bytes_are_an_error_and_no_more() {
        let (packs, _) = pack(&[row(0, 1, Some(vec![1; 400])), row(0, 2, None)]).unwrap();
        let whole = packs[0].close();
        for length in 0..whole.len() {
            assert!(unpack(1, 0, 0, 0, &whole[..length]).is_err(), "{length}");
        }
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x55;
            let _ = unpack(1, 0, 0, 0, &bytes);
        }
    }
}
