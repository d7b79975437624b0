//! The audit as lines that other programs read: one for each record, as JSON or CSV. Nothing is lost on the way: from the
//! lines of a row its bytes are made again, so that an export proves as much as the file that it was made from.
//!
//! A row of attempts is as many lines as it has events. The last line of a row has its hash. The first line of an export
//! (`begin`) has the hash of the row before, and in `reason` the newest checkpoint; the last one (`end`) says where it ends.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::event::{EventId, Op};
use crate::rules::attempt::entries::{self, Kinds};
use crate::rules::attempt::{Intent, Settled, Word};
use crate::rules::chain::{Body, Hash, Row};
use crate::rules::hex::{bytes, hex};

/// What a line is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sort {
    /// Where an export begins.
    Begin,
    /// An event is about to be sent.
    Intent,
    /// What came of it.
    Outcome,
    /// Something that is no attempt.
    #[default]
    Act,
    /// Where an export ends.
    End,
}

/// One line. What does not apply is left out, or empty in CSV.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Line<'a> {
    /// The number of its row.
    pub n: i64,
    /// When: RFC 3339, UTC, milliseconds.
    pub at: Cow<'a, str>,
    /// Milliseconds since the machine was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub up: Option<i64>,
    /// What it is.
    pub kind: Sort,
    /// Who: `system`, or the operator's user name.
    pub actor: Cow<'a, str>,
    /// At which connector.
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    pub connector: Option<Cow<'a, str>>,
    /// Out of which log.
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    pub log: Option<Cow<'a, str>>,
    /// Event id.
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    pub event: Option<Cow<'a, str>>,
    /// Its type.
    #[serde(default, borrow, rename = "type", skip_serializing_if = "Option::is_none")]
    pub type_: Option<Cow<'a, str>>,
    /// `insert`, `update`, `delete`, `event`.
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    pub op: Option<Cow<'a, str>>,
    /// Keyed hash of the record, in hexadecimal.
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    pub record: Option<Cow<'a, str>>,
    /// The same of the key that it had before.
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    pub old_record: Option<Cow<'a, str>>,
    /// The how manieth attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// It goes in one request with the line before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub joined: Option<bool>,
    /// Scheme, host and port of the target.
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Cow<'a, str>>,
    /// Hash of the connector's configuration.
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    pub config: Option<Cow<'a, str>>,
    /// The word of the outcome.
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Cow<'a, str>>,
    /// HTTP status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Class of the failure.
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    pub class: Option<Cow<'a, str>>,
    /// Microseconds from first byte out to last byte in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_us: Option<u32>,
    /// Body bytes out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_out: Option<u32>,
    /// Body bytes in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_in: Option<u32>,
    /// SHA-256 of the request.
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    pub request: Option<Cow<'a, str>>,
    /// SHA-256 of the answer's body.
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Cow<'a, str>>,
    /// What was done.
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    pub verb: Option<Cow<'a, str>>,
    /// What it was done to.
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Cow<'a, str>>,
    /// Why.
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Cow<'a, str>>,
    /// The hash of the row, on its last line.
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    pub hash: Option<Cow<'a, str>>,
}

/// The names of the fields in the order of a CSV file.
pub const COLUMNS: [&str; 28] = [
    "n",
    "at",
    "up",
    "kind",
    "actor",
    "connector",
    "log",
    "event",
    "type",
    "op",
    "record",
    "oldRecord",
    "attempt",
    "joined",
    "origin",
    "config",
    "outcome",
    "status",
    "class",
    "durationUs",
    "bytesOut",
    "bytesIn",
    "request",
    "answer",
    "verb",
    "subject",
    "reason",
    "hash",
];

impl<'a> Line<'a> {
    /// The fields in the order of [`COLUMNS`]; what is missing is empty.
    pub fn fields(&self) -> [Cow<'_, str>; 28] {
        fn text<'b>(text: &'b Option<Cow<'_, str>>) -> Cow<'b, str> {
            Cow::Borrowed(text.as_deref().unwrap_or_default())
        }
        fn number<'b>(number: Option<impl ToString>) -> Cow<'b, str> {
            number.map_or(Cow::Borrowed(""), |number| Cow::Owned(number.to_string()))
        }
        [
            number(Some(self.n)),
            Cow::Borrowed(&self.at),
            number(self.up),
            Cow::Borrowed(self.kind.word()),
            Cow::Borrowed(&self.actor),
            text(&self.connector),
            text(&self.log),
            text(&self.event),
            text(&self.type_),
            text(&self.op),
            text(&self.record),
            text(&self.old_record),
            number(self.attempt),
            number(self.joined),
            text(&self.origin),
            text(&self.config),
            text(&self.outcome),
            number(self.status),
            text(&self.class),
            number(self.duration_us),
            number(self.bytes_out),
            number(self.bytes_in),
            text(&self.request),
            text(&self.answer),
            text(&self.verb),
            text(&self.subject),
            text(&self.reason),
            text(&self.hash),
        ]
    }

    /// A field that has no place in a line of its kind: what does not go into the hash must not be believed.
    fn stray(&self) -> Option<&'static str> {
        let attempt = [
            ("type", self.type_.is_some()),
            ("op", self.op.is_some()),
            ("record", self.record.is_some()),
            ("oldRecord", self.old_record.is_some()),
            ("attempt", self.attempt.is_some()),
            ("joined", self.joined == Some(false)),
            ("joined", self.joined.is_some()),
            ("origin", self.origin.is_some()),
            ("config", self.config.is_some()),
        ];
        let outcome = [
            ("outcome", self.outcome.is_some()),
            ("status", self.status.is_some()),
            ("class", self.class.is_some()),
            ("durationUs", self.duration_us.is_some()),
            ("bytesOut", self.bytes_out.is_some()),
            ("bytesIn", self.bytes_in.is_some()),
            ("request", self.request.is_some()),
            ("answer", self.answer.is_some()),
        ];
        let act =
            [("verb", self.verb.is_some()), ("subject", self.subject.is_some()), ("reason", self.reason.is_some())];
        let place = [("log", self.log.is_some()), ("event", self.event.is_some())];
        let actor = [("actor", self.actor != "system")];
        let not_here: [&[(&'static str, bool)]; 3] = match self.kind {
            Sort::Intent => [&outcome, &act, &actor],
            Sort::Outcome => [&attempt, &act, &actor],
            _ => [&attempt, &outcome, &place],
        };
        not_here.into_iter().flatten().find(|(_, there)| *there).map(|(field, _)| *field)
    }

    /// Reads fields in the order of [`COLUMNS`].
    ///
    /// # Errors
    /// One is missing, or is no number where it must be.
    pub fn of_fields(fields: &[&'a str]) -> Result<Line<'a>, Unreadable> {
        let n = fields.first().and_then(|n| n.parse().ok());
        let n = need(-1, "n", n)?;
        let mut fields =
            fields.iter().zip(COLUMNS).skip(1).map(|(text, name)| (Some(*text).filter(|text| !text.is_empty()), name));
        let mut next = || fields.next().ok_or(Unreadable { n, field: "hash" });
        fn number<T: std::str::FromStr>(
            n: i64,
            (text, field): (Option<&str>, &'static str),
        ) -> Result<Option<T>, Unreadable> {
            text.map(|text| need(n, field, text.parse().ok())).transpose()
        }
        let at = next()?.0.unwrap_or_default().into();
        let up = number(n, next()?)?;
        let kind = next()?.0.and_then(Sort::of);
        let kind = need(n, "kind", kind)?;
        let actor = next()?.0.unwrap_or_default().into();
        let mut text = || Ok::<_, Unreadable>(next()?.0.map(Cow::Borrowed));
        let (connector, log, event, type_, op, record, old_record) =
            (text()?, text()?, text()?, text()?, text()?, text()?, text()?);
        let (attempt, joined) = (number(n, next()?)?, number(n, next()?)?);
        let mut text = || Ok::<_, Unreadable>(next()?.0.map(Cow::Borrowed));
        let (origin, config, outcome) = (text()?, text()?, text()?);
        let status = number(n, next()?)?;
        let class = next()?.0.map(Cow::Borrowed);
        let (duration_us, bytes_out, bytes_in) = (number(n, next()?)?, number(n, next()?)?, number(n, next()?)?);
        let mut text = || Ok::<_, Unreadable>(next()?.0.map(Cow::Borrowed));
        let (request, answer, verb, subject, reason, hash) = (text()?, text()?, text()?, text()?, text()?, text()?);
        Ok(Line {
            n,
            at,
            up,
            kind,
            actor,
            connector,
            log,
            event,
            type_,
            op,
            record,
            old_record,
            attempt,
            joined,
            origin,
            config,
            outcome,
            status,
            class,
            duration_us,
            bytes_out,
            bytes_in,
            request,
            answer,
            verb,
            subject,
            reason,
            hash,
        })
    }
}

impl Sort {
    const ALL: [(Sort, &'static str); 5] = [
        (Sort::Begin, "begin"),
        (Sort::Intent, "intent"),
        (Sort::Outcome, "outcome"),
        (Sort::Act, "act"),
        (Sort::End, "end"),
    ];

    /// Its word.
    pub fn word(self) -> &'static str {
        Sort::ALL.iter().find(|(sort, _)| *sort == self).map_or("", |(_, word)| word)
    }

    fn of(word: &str) -> Option<Sort> {
        Sort::ALL.iter().find(|(_, known)| *known == word).map(|(sort, _)| *sort)
    }
}

/// Gives the lines of a row. Entries that cannot be read end it.
pub fn lines<'a>(row: &Row<'a>, hash: &Hash, mut each: impl FnMut(Line<'a>)) {
    let base = Line { n: row.n, at: row.at.to_string().into(), up: row.up, actor: "system".into(), ..Line::default() };
    let mut held: Option<Line<'a>> = None;
    let mut give = |line: Line<'a>| {
        if let Some(before) = held.replace(line) {
            each(before);
        }
    };
    match row.body {
        Body::Intents { connector, log, origin, config, kinds, mut entries } => {
            let kinds = kinds.map(Kinds::read).unwrap_or_default();
            while let Some(intent) = entries::take_intent(&mut entries, &kinds) {
                let (type_, op) = intent.what.unzip();
                give(Line {
                    kind: Sort::Intent,
                    connector: Some(connector.into()),
                    log: Some(log.into()),
                    event: Some(intent.id.to_string().into()),
                    type_: type_.map(|kind| kind.to_string().into()),
                    op: op.map(|op| op.as_str().into()),
                    record: Some(hex(&intent.mac).into()),
                    old_record: intent.old_mac.map(|mac| hex(&mac).into()),
                    attempt: Some(intent.attempt),
                    joined: intent.joined.then_some(true),
                    origin: origin.map(Into::into),
                    config: config.map(|config| hex(config).into()),
                    ..base.clone()
                });
            }
        }
        Body::Outcomes { connector, log, mut entries } => {
            while let Some(settled) = entries::take_settled(&mut entries) {
                let told = |hash: &Hash| (*hash != [0; 32]).then(|| hex(hash).into());
                give(Line {
                    kind: Sort::Outcome,
                    connector: Some(connector.into()),
                    log: Some(log.into()),
                    event: Some(settled.id.to_string().into()),
                    outcome: Some(settled.word.as_str().into()),
                    status: Some(settled.status).filter(|status| *status != 0),
                    class: Some(settled.class).filter(|class| !class.is_empty()).map(Into::into),
                    duration_us: Some(settled.took_us),
                    bytes_out: Some(settled.bytes.0),
                    bytes_in: Some(settled.bytes.1),
                    request: told(&settled.request_hash),
                    answer: told(&settled.answer_hash),
                    ..base.clone()
                });
            }
        }
        Body::Act { actor, verb, connector, subject, reason } => give(Line {
            kind: Sort::Act,
            actor: actor.into(),
            connector: connector.map(Into::into),
            verb: Some(verb.into()),
            subject: subject.map(Into::into),
            reason: reason.map(Into::into),
            ..base
        }),
    }
    if let Some(last) = held {
        each(Line { hash: Some(hex(hash).into()), ..last });
    }
}

/// A line that cannot be one of an export.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("record {n}: its `{field}` is missing or cannot be read")]
pub struct Unreadable {
    /// The number of its row.
    pub n: i64,
    /// The field.
    pub field: &'static str,
}

/// Makes rows again from their lines.
#[derive(Debug, Default)]
pub struct Rows {
    /// What the lines of a row have in common.
    common: Common,
    begun: bool,
    kinds: Kinds,
    entries: Vec<u8>,
    bytes: Vec<u8>,
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
    config: Option<Vec<u8>>,
}

fn need<T>(n: i64, field: &'static str, value: Option<T>) -> Result<T, Unreadable> {
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
    pub fn take(&mut self, line: &Line<'_>) -> Result<Option<(i64, &[u8], Hash)>, Unreadable> {
        let n = line.n;
        if let Some(field) = line.stray() {
            return Err(Unreadable { n, field });
        }
        let at: jiff::Timestamp = need(n, "at", line.at.parse().ok())?;
        let at = Timestamp::from_jiff(at);
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

    /// Whether a row was begun and not ended.
    pub fn is_open(&self) -> bool {
        self.begun
    }

    fn event(&mut self, line: &Line<'_>, at: Timestamp) -> Result<(), Unreadable> {
        let n = line.n;
        let common = Common {
            n,
            at: at.0,
            up: line.up,
            kind: line.kind,
            connector: need(n, "connector", line.connector.as_deref())?.to_owned(),
            log: need(n, "log", line.log.as_deref())?.to_owned(),
            origin: line.origin.as_deref().map(str::to_owned),
            config: line
                .config
                .as_deref()
                .map(|config| need(n, "config", bytes::<32>(config)).map(|config| config.to_vec()))
                .transpose()?,
        };
        if !self.begun {
            (self.begun, self.common) = (true, common);
            self.kinds = Kinds::default();
            self.entries.clear();
        } else if self.common != common {
            return Err(Unreadable { n: self.common.n, field: "hash" });
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
            let (origin, config, kinds) = (origin.as_deref(), config.as_deref(), kinds.as_deref());
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
        assert_eq!(Rows::default().take(&end), Err(Unreadable { n: 5, field: "kind" }));
    }
}
