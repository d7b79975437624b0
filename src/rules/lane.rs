//! Lanes: which events must follow each other. Two events with equal lanes are never in flight together.

use aws_lc_rs::hmac;

use crate::event::{Record, Value};

/// How a key column compares text, from the table's definition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Collation {
    /// Byte for byte.
    #[default]
    Binary,
    /// ASCII letters of both cases are equal.
    NoCase,
    /// Spaces at the end do not count.
    RTrim,
}

/// The lane of a record: a well-mixed 64-bit hash of its log, type and key. Stored in the state file, so its
/// value never changes between versions. Two records whose hashes collide merely share a lane.
///
/// Text is folded by the key column's collation, so that two spellings of one key share a lane; `folds` is in
/// key order, a missing entry means [`Collation::Binary`].
pub fn lane(log: &str, kind: &str, key: &Record, folds: &[Collation]) -> u64 {
    let mut hash = Fnv::new();
    hash.text(log);
    hash.text(kind);
    for (at, (_, value)) in key.iter().enumerate() {
        hash.value(value, folds.get(at).copied().unwrap_or_default());
    }
    mix(hash.0)
}

/// The hash of a lane under a key: what the audit has in the place of a record's key. Whoever has no key cannot try which
/// record it is.
pub fn mac(key: &hmac::Key, lane: u64) -> [u8; 8] {
    let tag = hmac::sign(key, &lane.to_le_bytes());
    let mut mac = [0; 8];
    mac.iter_mut().zip(tag.as_ref()).for_each(|(to, from)| *to = *from);
    mac
}

/// FNV-1a, 64 bit (draft-eastlake-fnv); each part is preceded by its class and followed by its length.
struct Fnv(u64);

impl Fnv {
    fn new() -> Fnv {
        Fnv(0xcbf2_9ce4_8422_2325)
    }

    fn byte(&mut self, byte: u8) {
        self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.byte(*byte));
        (bytes.len() as u64).to_le_bytes().iter().for_each(|byte| self.byte(*byte));
    }

    fn text(&mut self, text: &str) {
        self.byte(b't');
        self.bytes(text.as_bytes());
    }

    fn value(&mut self, value: &Value, fold: Collation) {
        match value {
            Value::Null => self.byte(b'n'),
            Value::Bool(flag) => self.bytes(&[b'f', u8::from(*flag)]),
            Value::Integer(number) => {
                self.byte(b'i');
                self.bytes(&number.to_le_bytes());
            }
            // SQLite finds 5 and 5.0 equal; so must the lane.
            Value::Real(number) if number.fract() == 0.0 && number.abs() < 9.2e18 => {
                self.value(&Value::Integer(*number as i64), fold);
            }
            Value::Real(number) => {
                self.byte(b'r');
                self.bytes(&number.to_bits().to_le_bytes());
            }
            Value::Number(digits) => {
                self.byte(b'd');
                self.bytes(digits.as_bytes());
            }
            Value::Text(text) => self.folded(text.as_bytes(), fold),
            Value::BadText(bytes) => self.folded(bytes, fold),
            Value::Blob(bytes) => {
                self.byte(b'b');
                self.bytes(bytes);
            }
            Value::List(items) => {
                self.byte(b'l');
                items.iter().for_each(|item| self.value(item, fold));
                self.bytes(&(items.len() as u64).to_le_bytes());
            }
            Value::Map(fields) => {
                self.byte(b'm');
                for (name, value) in fields.iter() {
                    self.text(name);
                    self.value(value, fold);
                }
                self.bytes(&(fields.len() as u64).to_le_bytes());
            }
        }
    }

    fn folded(&mut self, text: &[u8], fold: Collation) {
        self.byte(b't');
        match fold {
            Collation::Binary => self.bytes(text),
            Collation::NoCase => self.bytes(&text.to_ascii_lowercase()),
            Collation::RTrim => {
                let end = text.iter().rposition(|byte| *byte != b' ').map_or(0, |at| at + 1);
                self.bytes(&text[..end]);
            }
        }
    }
}

/// The finaliser of MurmurHash3 (public domain, Austin Appleby): plain FNV leaves the high bits poor, which
/// put 16 lanes on 3.
fn mix(mut hash: u64) -> u64 {
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(value: Value) -> Record {
        [("id", value)].into_iter().collect()
    }

    #[test]
    fn spellings_that_the_collation_finds_equal_share_a_lane() {
        let lanes = |a: &str, b: &str, fold| {
            lane("office", "t", &key(a.into()), &[fold]) == lane("office", "t", &key(b.into()), &[fold])
        };
        assert!(lanes("Ab", "aB", Collation::NoCase));
        assert!(!lanes("Ab", "aB", Collation::Binary));
        assert!(lanes("ab  ", "ab", Collation::RTrim));
        assert!(!lanes("ab  ", "ab", Collation::Binary));
        assert_eq!(lane("office", "t", &key(Value::Integer(5)), &[]), lane("office", "t", &key(Value::Real(5.0)), &[]));
    }

    #[test]
    fn sequential_keys_spread_evenly_over_lanes() {
        let mut counts = [0_u32; 16];
        for id in 0..16_000 {
            counts[(lane("office", "t", &key(Value::Integer(id)), &[]) % 16) as usize] += 1;
        }
        assert!(counts.iter().all(|count| (800..1200).contains(count)), "{counts:?}");
    }

    #[test]
    fn the_value_of_a_lane_never_changes_between_versions() {
        let key: Record = [("a", Value::Integer(42)), ("b", "x".into())].into_iter().collect();
        assert_eq!(lane("office", "appointments", &key, &[]), PINNED);
    }

    const PINNED: u64 = 1_774_420_852_989_770_519;
}
