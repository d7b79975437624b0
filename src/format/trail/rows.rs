//! Rows of the chain, made again from the lines of an export.

use std::sync::Arc;

use super::{Line, Sort};
use crate::clock::Timestamp;
use crate::event::{EventId, Op};
use crate::rules::attempt::entries::{self, Kinds};
use crate::rules::attempt::{Intent, Settled, Word};
use crate::rules::chain::{Body, Hash, Row};
use crate::rules::hex::bytes;

/// A line that cannot be one of an export.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("record {n}: its `{field}` is missing or cannot be read")]
pub struct Unreadable {
    /// The number of its row.
    pub n: i64,
    /// The field.
    pub field: &'static str,
}

/// A row that was made again: its number, its bytes, and the hash that its last line has.
pub type Made<'r> = (i64, &'r [u8], Hash);

/// Makes rows again from their lines.
#[derive(Debug, Default)]
pub struct Rows {
    /// What the lines of a row have in common.
    common: Common,
    begun: bool,
    kinds: Kinds,
    entries: Vec<u8>,
    bytes: Vec<u8>,
    /// The time of the last line, as it was written and as it was read: the lines of a row share theirs.
    at: (String, Timestamp),
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Common {
    n: i64,
    at: i64,
    up: Option<i64>,
    kind: Sort,
    connector: String,
    log: String,
    origin: Option<String>,
    config: Option<[u8; 32]>,
}

pub(super) fn need<T>(n: i64, field: &'static str, value: Option<T>) -> Result<T, Unreadable> {
    value.ok_or(Unreadable { n, field })
}

fn hash_of(n: i64, field: &'static str, text: Option<&str>) -> Result<Hash, Unreadable> {
    text.map_or(Ok([0; 32]), |text| need(n, field, bytes(text)))
}

impl Rows {
    /// Takes a line of a row; when it is the row's last one, the row's number, bytes and hash.
    ///
    /// # Errors
    /// The line cannot be read, or does not go with those before it.
    pub fn take(&mut self, line: &Line<'_>) -> Result<Option<Made<'_>>, Unreadable> {
        let n = line.n;
        if let Some(field) = line.stray() {
            return Err(Unreadable { n, field });
        }
        let at = self.time(line)?;
        if line.kind == Sort::Act {
            if self.begun {
                return Err(Unreadable { n: self.common.n, field: "hash" });
            }
            let body = Body::Act {
                actor: &line.actor,
                verb: need(n, "verb", line.verb.as_deref())?,
                connector: line.connector.as_deref(),
                subject: line.subject.as_deref(),
                reason: line.reason.as_deref(),
            };
            Row { n, at, up: line.up, body }.write(&mut self.bytes);
        } else {
            self.event(line, at)?;
        }
        let Some(hash) = line.hash.as_deref() else {
            return if line.kind == Sort::Act { Err(Unreadable { n, field: "hash" }) } else { Ok(None) };
        };
        let hash = need(n, "hash", bytes(hash))?;
        if line.kind != Sort::Act {
            self.row(at);
        }
        Ok(Some((n, &self.bytes, hash)))
    }

    fn time(&mut self, line: &Line<'_>) -> Result<Timestamp, Unreadable> {
        if line.at.is_empty() || self.at.0 != line.at {
            let at: jiff::Timestamp = need(line.n, "at", line.at.parse().ok())?;
            self.at = (line.at.clone().into_owned(), Timestamp::from_jiff(at));
        }
        Ok(self.at.1)
    }

    /// Whether a row was begun and not ended.
    pub fn is_open(&self) -> bool {
        self.begun
    }

    fn event(&mut self, line: &Line<'_>, at: Timestamp) -> Result<(), Unreadable> {
        let n = line.n;
        let (connector, log) = (need(n, "connector", line.connector.as_deref())?, need(n, "log", line.log.as_deref())?);
        let config = line.config.as_deref().map(|config| need(n, "config", bytes::<32>(config))).transpose()?;
        let origin = line.origin.as_deref();
        if !self.begun {
            self.begun = true;
            self.common = Common {
                n,
                at: at.0,
                up: line.up,
                kind: line.kind,
                connector: connector.to_owned(),
                log: log.to_owned(),
                origin: origin.map(str::to_owned),
                config,
            };
            self.kinds = Kinds::default();
            self.entries.clear();
        } else {
            let common = &self.common;
            let same = (common.n, common.at, common.up, common.kind) == (n, at.0, line.up, line.kind)
                && (common.connector.as_str(), common.log.as_str()) == (connector, log)
                && (common.origin.as_deref(), common.config) == (origin, config);
            if !same {
                return Err(Unreadable { n: common.n, field: "hash" });
            }
        }
        let id: EventId = need(n, "event", line.event.as_deref().and_then(|id| id.parse().ok()))?;
        match line.kind {
            Sort::Intent => {
                let op = line.op.as_deref().map(|op| need(n, "op", op_of(op))).transpose()?;
                let what = line.type_.as_deref().map(Arc::from).zip(op);
                let old = line.old_record.as_deref();
                let intent = Intent {
                    id,
                    attempt: need(n, "attempt", line.attempt)?,
                    mac: need(n, "record", line.record.as_deref().and_then(bytes))?,
                    old_mac: old.map(|mac| need(n, "oldRecord", bytes(mac))).transpose()?,
                    joined: line.joined.unwrap_or_default(),
                    what,
                };
                entries::put_intent(&intent, &mut self.kinds, &mut self.entries);
            }
            Sort::Outcome => {
                let settled = Settled {
                    id,
                    word: Word::of(need(n, "outcome", line.outcome.as_deref())?),
                    status: line.status.unwrap_or_default(),
                    took_us: need(n, "durationUs", line.duration_us)?,
                    bytes: (need(n, "bytesOut", line.bytes_out)?, need(n, "bytesIn", line.bytes_in)?),
                    request_hash: hash_of(n, "request", line.request.as_deref())?,
                    answer_hash: hash_of(n, "answer", line.answer.as_deref())?,
                    class: line.class.as_deref().unwrap_or_default().to_owned(),
                };
                entries::put_settled(&settled, &mut self.entries);
            }
            Sort::Begin | Sort::Act | Sort::End => return Err(Unreadable { n, field: "kind" }),
        }
        Ok(())
    }

    fn row(&mut self, at: Timestamp) {
        let Common { n, up, kind, connector, log, origin, config, .. } = &self.common;
        let kinds = self.kinds.text();
        let entries = &self.entries;
        let body = if *kind == Sort::Intent {
            let (origin, kinds) = (origin.as_deref(), kinds.as_deref());
            let config = config.as_ref().map(<[u8; 32]>::as_slice);
            Body::Intents { connector, log, origin, config, kinds, entries }
        } else {
            Body::Outcomes { connector, log, entries }
        };
        Row { n: *n, at, up: *up, body }.write(&mut self.bytes);
        self.begun = false;
    }
}

fn op_of(word: &str) -> Option<Op> {
    [Op::Insert, Op::Update, Op::Delete, Op::Event].into_iter().find(|op| op.as_str() == word)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::{COLUMNS, lines};
    use super::*;

    fn packed() -> (String, Vec<u8>, Vec<u8>) {
        let (mut kinds, mut intents, mut outcomes) = (Kinds::default(), Vec::new(), Vec::new());
        for seq in 0..4 {
            let id = EventId { epoch: 7, seq, nonce: 9 };
            let what = Some((if seq % 2 == 0 { "visits" } else { "calls, \"odd\"" }.into(), Op::Update));
            let old_mac = (seq == 2).then_some([4; 8]);
            let intent = Intent { id, attempt: 3, mac: [seq as u8; 8], old_mac, joined: seq > 2, what };
            entries::put_intent(&intent, &mut kinds, &mut intents);
            let mut settled = Settled::unanswered(id, Word::Retry, if seq > 1 { "http-503" } else { "" });
            (settled.status, settled.request_hash) = (503, [seq as u8; 32]);
            entries::put_settled(&settled, &mut outcomes);
        }
        (kinds.text().unwrap(), intents, outcomes)
    }

    fn bodies<'a>(kinds: &'a str, intents: &'a [u8], outcomes: &'a [u8]) -> Vec<Body<'a>> {
        let (connector, log) = ("legacy", "office");
        vec![
            Body::Intents {
                connector,
                log,
                origin: Some("https://legacy.example:443"),
                config: Some(&[3; 32]),
                kinds: Some(kinds),
                entries: intents,
            },
            Body::Outcomes { connector, log, entries: outcomes },
            Body::Act {
                actor: "ada",
                verb: "retry",
                connector: None,
                subject: Some("x"),
                reason: Some("two\nlines, \"q\""),
            },
        ]
    }

    #[test]
    fn rows_are_made_again_from_their_lines_in_json_and_in_csv() {
        let (kinds, intents, outcomes) = packed();
        for (n, body) in bodies(&kinds, &intents, &outcomes).into_iter().enumerate() {
            let row = Row { n: n as i64, at: Timestamp(1_772_733_900_123), up: Some(5), body };
            let (mut bytes, mut json, mut table) = (Vec::new(), String::new(), csv::Writer::from_writer(Vec::new()));
            row.write(&mut bytes);
            table.write_record(COLUMNS).unwrap();
            lines(&row, &[8; 32], |line| {
                json.push_str(&format!("{}\n", serde_json::to_string(&line).unwrap()));
                table.write_record(line.fields().iter().map(|field| field.as_bytes())).unwrap();
            });
            let mut rows = Rows::default();
            let mut made = None;
            for line in json.lines() {
                let line: Line<'_> = serde_json::from_str(line).unwrap();
                made = rows.take(&line).unwrap().map(|(n, bytes, hash)| (n, bytes.to_vec(), hash));
            }
            assert_eq!(made, Some((n as i64, bytes.clone(), [8; 32])), "{json}");
            let table = table.into_inner().unwrap();
            let mut made = None;
            for record in csv::Reader::from_reader(table.as_slice()).records() {
                let record = record.unwrap();
                let line = Line::of_fields(&record.iter().collect::<Vec<_>>()).unwrap();
                made = rows.take(&line).unwrap().map(|(n, bytes, hash)| (n, bytes.to_vec(), hash));
            }
            assert_eq!(made, Some((n as i64, bytes, [8; 32])), "{}", String::from_utf8(table).unwrap());
        }
    }

    #[test]
    fn lines_that_belong_to_no_row_are_refused() {
        let (kinds, intents, outcomes) = packed();
        let bodies = bodies(&kinds, &intents, &outcomes);
        let row = Row { n: 5, at: Timestamp(1), up: None, body: bodies[0].clone() };
        let mut all = Vec::new();
        lines(&row, &[8; 32], |line| all.push(line));
        let mut rows = Rows::default();
        rows.take(&all[0]).unwrap();
        assert!(rows.is_open());
        let other = Line { connector: Some("another".into()), ..all[1].clone() };
        assert_eq!(rows.take(&other), Err(Unreadable { n: 5, field: "hash" }));
        let no_id = Line { event: None, ..all[1].clone() };
        assert_eq!(Rows::default().take(&no_id), Err(Unreadable { n: 5, field: "event" }));
        let stranger = Line { actor: "ada".into(), ..all[1].clone() };
        assert_eq!(Rows::default().take(&stranger), Err(Unreadable { n: 5, field: "actor" }));
        let told = Line { reason: Some("because".into()), ..all[1].clone() };
        assert_eq!(Rows::default().take(&told), Err(Unreadable { n: 5, field: "reason" }));
        let wrong = Line { hash: Some("8".into()), ..all[3].clone() };
        assert_eq!(Rows::default().take(&wrong), Err(Unreadable { n: 5, field: "hash" }));
        let end = Line { kind: Sort::End, ..all[1].clone() };
        assert!(Rows::default().take(&end).is_err());
    }
}
