//! `ack:` of a drop: the answers of the receiver, and what they mean.

use std::time::Duration;

use crate::config::drop::deliver::Deliver;
use crate::config::drop::format::{self, FeedSpec, Purpose};
use crate::config::drop::pgp::{self, OpenSpec};
use crate::config::drop::shelf::Shelf;
use crate::config::fields::Fields;
use crate::config::found::Found;
use crate::engine::drop::acknowledge::Matching;
use crate::format::feed::Feed;
use crate::format::layout::Item;
use crate::rules::answer::{Unlisted, Words};
use crate::rules::nearest::hint;

/// How answers are fetched, read and understood.
#[derive(Clone, Debug)]
pub struct AckSpec {
    /// Which of the places of `deliver` has them; default the first.
    pub from: String,
    /// Folder there; for a directory a path below it, or an absolute one.
    pub dir: String,
    /// Names of answers; `*` stands for any text.
    pub pattern: String,
    /// The name of the partner's trigger, `{file}` for that of the answer; none = size and time must hold still.
    pub trigger: Option<String>,
    /// For how long, between two looks; default [`AckSpec::SETTLE`].
    pub settle: Duration,
    /// What an answer looks like.
    pub feed: FeedSpec,
    /// How it says which file it answers.
    pub file: Matching,
    /// Its item with the key of a record, and the item or column of our detail that it repeats. None = answers are about
    /// whole files.
    pub record: Option<(String, String)>,
    /// What it says of a record.
    pub status: Option<Words>,
    /// What it says of the file as a whole.
    pub file_status: Option<Words>,
    /// Its item with a code.
    pub code: Option<String>,
    /// Its item with a text.
    pub text: Option<String>,
    /// What holds for records that it does not list.
    pub unlisted: Unlisted,
    /// An answer that is not there after so long is an alarm; none = never.
    pub overdue: Option<Duration>,
    /// What becomes of it there.
    pub after: After,
    /// `pgp`: how it is decrypted and verified.
    pub pgp: Option<OpenSpec>,
}

/// What becomes of an answer that was used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum After {
    /// It stays.
    #[default]
    Leave,
    /// It is removed.
    Delete,
    /// It is moved to this folder.
    Move(String),
}

impl AckSpec {
    /// How long an answer must hold still before it is read, unless its trigger is there.
    pub const SETTLE: Duration = Duration::from_secs(60);

    /// What reads answers.
    pub fn feed(&self) -> Result<Feed, Vec<String>> {
        self.feed.make("OFFICE", "", None)
    }
}

/// Reads `ack:`.
pub(super) fn ack(found: &Found<'_>, places: &[Deliver], like: Option<&FeedSpec>, shelf: &Shelf) -> Option<AckSpec> {
    let fields = found.fields()?;
    let names = || places.iter().map(|place| place.name.as_str());
    let from = match fields.take("from") {
        Some(found) => found.text().map(|name| {
            if !places.is_empty() && !names().any(|known| known == name) {
                found.unknown("place of `deliver`", name, names());
            }
            name.to_owned()
        }),
        None => Some(names().next().unwrap_or_default().to_owned()),
    };
    let dir = fields.take("dir").map_or(Some(String::new()), |found| found.text_or_nothing().map(str::to_owned));
    let pattern = fields.need("pattern").and_then(|found| name_pattern(&found));
    let trigger = fields.take("trigger").map_or(Some(None), |found| trigger(&found).map(Some));
    let settle = fields.take("settle").map_or(Some(AckSpec::SETTLE), |found| found.duration());
    let pgp = match fields.take("pgp") {
        Some(found) => pgp::open(&found).map(Some),
        None => Some(None),
    };
    let feed = form(&fields, found, like, shelf);
    let matched = fields.need("match").and_then(|found| Matched::read(&found, feed.as_ref()));
    const UNLISTED: [(&str, Unlisted); 2] = [("accepted", Unlisted::Accepted), ("pending", Unlisted::Pending)];
    let unlisted = fields
        .take("unlisted")
        .map_or(Some(Unlisted::default()), |found| found.choice("rule for unlisted records", &UNLISTED));
    let overdue = fields.take("overdue").map_or(Some(None), |found| found.duration().map(Some));
    let after = after(&fields);
    fields.done();
    let matched = matched?;
    Some(AckSpec {
        from: from?,
        dir: dir?,
        pattern: pattern?,
        trigger: trigger?,
        settle: settle?,
        feed: feed?,
        file: matched.file,
        record: matched.record,
        status: matched.status,
        file_status: matched.file_status,
        code: matched.code,
        text: matched.text,
        unlisted: unlisted?,
        overdue: overdue?,
        after: after?,
        pgp: pgp?,
    })
}

/// The name of a partner's trigger.
pub(super) fn trigger(found: &Found<'_>) -> Option<String> {
    let text = found.text()?;
    if !text.contains("{file}") {
        found.error_hint("is the same name for every file", "write for example \"{file}.done\"");
    }
    Some(text.to_owned())
}

pub(super) fn name_pattern(found: &Found<'_>) -> Option<String> {
    found.parsed(|text| match text.contains('/') {
        true => Err(format!("`{text}` has a folder in it: `dir` says where answers are")),
        false => Ok(text.to_owned()),
    })
}

/// `format`, or `copybook` alone, which then has code page and frame of the drop.
pub(super) fn form(fields: &Fields<'_>, found: &Found<'_>, like: Option<&FeedSpec>, shelf: &Shelf) -> Option<FeedSpec> {
    let purpose = Purpose { fields: None, key: &[], reading: true, like };
    let (form, copybook) = (fields.take("format"), fields.take("copybook"));
    let (spec, place) = match (form, copybook) {
        (Some(_), Some(copybook)) => {
            copybook.error_hint("stands beside `format`", "write it in there");
            return None;
        }
        (Some(form), None) => (format::section(&form, &purpose, shelf)?, form),
        (None, Some(copybook)) => (format::copybook_alone(&copybook, &purpose, shelf)?, copybook),
        (None, None) => {
            found.error_hint("does not say what a file looks like", "write `copybook` or `format`");
            return None;
        }
    };
    match spec.make("OFFICE", "", None) {
        Ok(_) => Some(spec),
        Err(wrong) => {
            wrong.iter().for_each(|text| place.error(text));
            None
        }
    }
}

fn after(fields: &Fields<'_>) -> Option<After> {
    let target = fields.take("moveTo");
    let folder = target.as_ref().map_or(Some(None), |found| found.text().map(Some));
    #[derive(Clone, Copy, PartialEq)]
    enum Word {
        Leave,
        Delete,
        Move,
    }
    const WORDS: [(&str, Word); 3] = [("leave", Word::Leave), ("delete", Word::Delete), ("move", Word::Move)];
    let place = fields.take("after");
    let word = match &place {
        Some(found) => found.choice("end of an answer", &WORDS)?,
        None if target.is_some() => Word::Move,
        None => Word::Leave,
    };
    match (word, folder?) {
        (Word::Leave, None) => Some(After::Leave),
        (Word::Delete, None) => Some(After::Delete),
        // Beside the answers, where an operator finds it.
        (Word::Move, folder) => Some(After::Move(folder.unwrap_or("done").to_owned())),
        (_, Some(_)) => {
            if let Some(target) = target {
                target.error_hint("says where to, but `after` is not `move`", "leave one of the two out");
            }
            None
        }
    }
}

/// `match:`.
struct Matched {
    file: Matching,
    record: Option<(String, String)>,
    status: Option<Words>,
    file_status: Option<Words>,
    code: Option<String>,
    text: Option<String>,
}

impl Matched {
    fn read(found: &Found<'_>, feed: Option<&FeedSpec>) -> Option<Matched> {
        let fields = found.fields()?;
        let names = Known::of(feed);
        let file = fields.need("file").and_then(|found| match_file(&found, &names));
        let record = fields.take("record").map_or(Some(None), |found| {
            if !found.is_section() {
                let item = names.detail(&found)?;
                return Some(Some((item.clone(), item)));
            }
            let fields = found.fields()?;
            let item = fields.need("item").and_then(|found| names.detail(&found));
            let ours = fields.need("ours").and_then(|found| found.word());
            fields.done();
            Some(Some((item?, ours?)))
        });
        let mut statuses = [("status", false), ("fileStatus", true)]
            .into_iter()
            .map(|(key, file)| fields.take(key).map_or(Some(None), |found| status(&found, &names, file).map(Some)));
        let (status, file_status) = (statuses.next().flatten(), statuses.next().flatten());
        let item = |key| fields.take(key).map_or(Some(None), |found: Found<'_>| names.any(&found).map(Some));
        let (code, text) = (item("code"), item("text"));
        fields.done();
        Some(Matched {
            file: file?,
            record: record?,
            status: status?,
            file_status: file_status?,
            code: code?,
            text: text?,
        })
    }
}

/// `{name: ITEM}`, or `{id, is, sequence}`.
fn match_file(found: &Found<'_>, names: &Known) -> Option<Matching> {
    let fields = found.fields()?;
    let name = fields.take("name");
    let (id, is) = (fields.take("id"), fields.take("is"));
    let sequence = fields.take("sequence");
    fields.done();
    match (name, sequence) {
        (Some(name), None) => names.around(&name).map(Matching::Name),
        (None, Some(sequence)) => {
            let sequence = names.around(&sequence);
            let id = match (id, is) {
                (None, None) => None,
                (Some(id), Some(is)) => Some((names.around(&id)?, is.word()?)),
                (Some(id), None) => {
                    id.error_hint("is compared with nothing", "say with `is` which file id is yours");
                    return None;
                }
                (None, Some(is)) => {
                    is.error_hint("is not compared with an item", "say with `id` which item has it");
                    return None;
                }
            };
            Some(Matching::Sequence { id, sequence: sequence? })
        }
        _ => {
            found.error_hint(
                "does not say how an answer names its file",
                "write {name: ITEM}, or {id: ITEM, is: FILE-ID, sequence: ITEM}",
            );
            None
        }
    }
}

/// `{item, accepted, rejected}`.
fn status(found: &Found<'_>, names: &Known, file: bool) -> Option<Words> {
    let fields = found.fields()?;
    let item = fields.need("item").and_then(|found| if file { names.around(&found) } else { names.detail(&found) });
    let words = |key| {
        fields.take(key).map_or(Some(Vec::new()), |found: Found<'_>| {
            found.one_or_many().iter().map(Found::word).collect::<Option<Vec<String>>>()
        })
    };
    let (accepted, rejected) = (words("accepted"), words("rejected"));
    fields.done();
    let (accepted, rejected) = (accepted?, rejected?);
    if accepted.is_empty() && rejected.is_empty() {
        found.error_hint("has no word for either", "write `accepted: [A]`, `rejected: [R]`, or both");
    }
    if let Some(both) = accepted.iter().find(|word| rejected.contains(word)) {
        found.error(format!("has `{both}` for accepted and for rejected"));
    }
    Some(Words { item: item?, accepted, rejected })
}

/// The items that an answer has; none = they are not known.
struct Known {
    details: Option<Vec<String>>,
    around: Option<Vec<String>>,
}

impl Known {
    fn of(feed: Option<&FeedSpec>) -> Known {
        let names = |items: &mut dyn Iterator<Item = &Item>| {
            let mut names = Vec::new();
            items.for_each(|item| collect(item, &mut names));
            names
        };
        match feed {
            Some(FeedSpec::Fixed(spec)) => Known {
                details: Some(names(&mut spec.details.iter().map(|detail| &detail.line.record))),
                around: Some(names(&mut spec.headers.iter().chain(&spec.trailers).map(|line| &line.record))),
            },
            Some(FeedSpec::Csv(spec)) => Known {
                details: Some(spec.columns.iter().map(|column| column.column.field.clone()).collect()),
                around: None,
            },
            None => Known { details: None, around: None },
        }
    }

    fn detail(&self, found: &Found<'_>) -> Option<String> {
        check(found, self.details.as_deref(), "detail of an answer")
    }

    fn around(&self, found: &Found<'_>) -> Option<String> {
        check(found, self.around.as_deref(), "header or trailer of an answer")
    }

    fn any(&self, found: &Found<'_>) -> Option<String> {
        match (&self.details, &self.around) {
            (Some(details), Some(around)) => {
                let all: Vec<String> = details.iter().chain(around).cloned().collect();
                check(found, Some(&all), "record of an answer")
            }
            _ => found.word(),
        }
    }
}

/// The name of an item, as the record spells it.
fn check(found: &Found<'_>, names: Option<&[String]>, of: &str) -> Option<String> {
    let name = found.word()?;
    let Some(names) = names else { return Some(name) };
    let known = names.iter().find(|known| known.eq_ignore_ascii_case(&name));
    if known.is_none() {
        let near = hint(&name, names.iter().map(String::as_str));
        found.error(format!("there is no item `{name}` in a {of}{near}"));
    }
    known.cloned()
}

fn collect(item: &Item, names: &mut Vec<String>) {
    names.extend(item.name.as_deref().map(str::to_owned));
    item.items().iter().for_each(|below| collect(below, names));
}
