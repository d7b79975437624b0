//! `format:` of a drop: what a file looks like.

use jiff::civil::date;
use jiff::tz::TimeZone;

use crate::clock::Timestamp;
use crate::config::drop::shelf::Shelf;
use crate::config::drop::{Whole, csv, fixed};
use crate::config::fields::Fields;
use crate::config::found::Found;
use crate::config::tree::{Key, Node, Value};
use crate::engine::drop::Beside;
use crate::format::codepage::CodePage;
use crate::format::feed::{CsvFeed, Feed, FixedFeed};
use crate::rules::naming::Stamp;

/// What the files of a drop look like, as plain data.
#[derive(Clone, Debug)]
pub enum FeedSpec {
    /// `kind: csv`.
    Csv(Box<CsvFeed>),
    /// `kind: copybook` or `fields`.
    Fixed(Box<FixedFeed>),
}

/// `kind:` of a format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Csv,
    Copybook,
    Fields,
}

/// Who reads a format, and of whom.
pub(super) struct Purpose<'p> {
    /// The fields of the records, where they are known.
    pub(super) fields: Option<Vec<String>>,
    /// Fields that are never null.
    pub(super) key: &'p [String],
    /// Files that are read, not written.
    pub(super) reading: bool,
    /// The format from which an answer has what it does not say itself.
    pub(super) like: Option<&'p FeedSpec>,
}

impl FeedSpec {
    /// The feed of an installation; `fields` are those of the records where they are known otherwise.
    pub fn make(&self, office: &str, drop: &str, fields: Option<Vec<String>>) -> Result<Feed, Vec<String>> {
        let sample = Stamp { office: office.to_owned(), drop: drop.to_owned(), ..sample() };
        match self {
            FeedSpec::Csv(spec) => {
                let fields = fields.or_else(|| spec.fields.clone());
                Feed::csv(CsvFeed { sample, fields, ..CsvFeed::clone(spec) })
            }
            FeedSpec::Fixed(spec) => {
                let fields = fields.or_else(|| spec.fields.clone());
                Feed::fixed(FixedFeed { sample, fields, ..FixedFeed::clone(spec) })
            }
        }
    }

    /// Its code page.
    pub fn page(&self) -> &'static CodePage {
        match self {
            FeedSpec::Csv(spec) => spec.page,
            FeedSpec::Fixed(spec) => spec.page,
        }
    }

    /// Whether the fields of its records are known from the mapping.
    pub fn knows_fields(&self) -> bool {
        match self {
            FeedSpec::Csv(spec) => spec.fields.is_some(),
            FeedSpec::Fixed(spec) => spec.fields.is_some(),
        }
    }

    /// Says which totals of control and trigger files cannot be taken.
    pub(super) fn counts<'b>(&self, fields: &Fields<'_>, whole: &Whole<'_>, besides: impl Iterator<Item = &'b Beside>) {
        let Some(office) = &whole.scope.office else { return };
        let Ok(feed) = self.make(office, whole.name, None) else { return };
        for beside in besides {
            for expression in beside.text.totals() {
                if let Err(text) = feed.can_count(expression) {
                    fields.section().error(format!("the text of `{}`: {text}", beside.name));
                }
            }
        }
    }
}

/// A stamp to try things out with.
pub(super) fn sample() -> Stamp {
    Stamp {
        office: String::new(),
        drop: String::new(),
        bus_date: date(2026, 12, 31),
        cut: Timestamp(1_798_758_000_000),
        created: Timestamp(1_798_758_001_000),
        zone: TimeZone::UTC,
        seq: 1,
        prev_seq: 0,
        generation: 1,
        rerun: 0,
        modifier: 0,
        part: (1, 1),
    }
}

/// Reads `format:` of a drop.
pub(super) fn read(found: &Found<'_>, whole: &Whole<'_>, key: &[String], shelf: &Shelf) -> Option<FeedSpec> {
    let purpose = Purpose { fields: whole.fields(), key, reading: false, like: None };
    let spec = section(found, &purpose, shelf)?;
    // That the whole fits together shows when it is made. What was kept fitted when it was new.
    let Some(office) = &whole.scope.office else { return Some(spec) };
    match spec.make(office, whole.name, None) {
        Ok(_) => Some(spec),
        Err(wrong) => {
            wrong.iter().for_each(|text| found.error(text));
            None
        }
    }
}

/// Reads a section of a format.
pub(super) fn section(found: &Found<'_>, purpose: &Purpose<'_>, shelf: &Shelf) -> Option<FeedSpec> {
    const KINDS: [(&str, Kind); 3] = [("copybook", Kind::Copybook), ("fields", Kind::Fields), ("csv", Kind::Csv)];
    let fields = found.fields()?;
    let kind = match fields.take("kind") {
        Some(found) => found.choice("kind of format", &KINDS),
        None if fields.take("copybook").is_some() => Some(Kind::Copybook),
        None if fields.take("columns").is_some() => Some(Kind::Csv),
        None if fields.take("fields").is_some() => Some(Kind::Fields),
        None => {
            found.error_hint("does not say what a file looks like", "write `kind: copybook`, `fields` or `csv`");
            None
        }
    };
    // Read with the content of the drop.
    let _ = fields.take("whenEmpty");
    match kind {
        Some(Kind::Csv) => fields.know(&csv::KEYS),
        Some(_) => fields.know(&fixed::KEYS),
        None => {
            fields.know(&csv::KEYS);
            fields.know(&fixed::KEYS);
            fields.done();
            return None;
        }
    }
    let spec = match kind? {
        Kind::Csv => csv::csv(&fields, purpose).map(|spec| FeedSpec::Csv(Box::new(spec))),
        kind => fixed::fixed(&fields, kind, purpose, shelf).map(|spec| FeedSpec::Fixed(Box::new(spec))),
    };
    fields.done();
    spec
}

/// The format of answers of which only the copybook is said.
pub(super) fn copybook_alone(found: &Found<'_>, purpose: &Purpose<'_>, shelf: &Shelf) -> Option<FeedSpec> {
    let name = found.text()?;
    let place = found.node.place;
    let key = Key { place, name: "copybook".to_owned() };
    let value = Node { place, value: Value::Text(name.to_owned()) };
    let node = Node { place, value: Value::Map(vec![(key, value)]) };
    let above = found.key.rsplit_once('.').map_or("", |(above, _)| above).to_owned();
    let section_ = Found { node: &node, key: above, ..found.clone() };
    let fields = section_.fields()?;
    let spec = fixed::fixed(&fields, Kind::Copybook, purpose, shelf).map(|spec| FeedSpec::Fixed(Box::new(spec)));
    fields.done();
    spec
}
