//! The audit as lines that other programs read: one for each record, as JSON or CSV. Nothing is lost on the way: from the
//! lines of a row its bytes are made again, so that an export proves as much as the file that it was made from.
//!
//! A row of attempts is as many lines as it has events. The last line of a row has its hash. The first line of an export
//! (`begin`) has the hash of the row before, and in `reason` the newest checkpoint; the last one (`end`) says where it ends.

mod rows;

use std::borrow::Cow;

use rows::need;
pub use rows::{Made, Rows, Unreadable};
use serde::{Deserialize, Serialize};

use crate::rules::attempt::entries::{self, Kinds};
use crate::rules::chain::{Body, Hash, Row};
use crate::rules::hex::hex;

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
