//! Files of fixed records: headers, details and trailers with layouts of their own, in one frame.

mod line;
mod pen;
mod pick;
mod read;
mod tap;

use std::fmt::Write as _;

use crate::event::Value;
use crate::format::codepage::CodePage;
use crate::format::feed::counting::{self, Counting};
use crate::format::feed::fill::{Given, Set};
use crate::format::feed::{ENCODING, Row};
use crate::format::fixed::{Choice, Overpunch, Rules, Unbound};
use crate::format::frame::{self, Framing, Lengths, Pad};
use crate::format::layout::Item;
use crate::rules::naming::Stamp;
use crate::rules::outcome::Reason;
use crate::rules::total::{Counted, Expression, Totals};

use line::Line;
pub(super) use pen::Pen;

/// What a file of fixed records is made of.
#[derive(Clone, Debug)]
pub struct FixedFeed {
    /// The code page.
    pub page: &'static CodePage,
    /// How signs share the byte of a digit, where the code page is no EBCDIC.
    pub overpunch: Option<Overpunch>,
    /// COMP-5 with its lowest byte first.
    pub little_endian: bool,
    /// Reading: blanks in zoned numbers are zero.
    pub blank_is_zero: bool,
    /// How records stand in the file.
    pub framing: Framing,
    /// Records that fill the last block.
    pub padding: Option<Padding>,
    /// A byte behind everything, as DOS's 1A.
    pub eof: Option<u8>,
    /// The headers, in order.
    pub headers: Vec<FixedLine>,
    /// The kinds of details; with several each has a condition, or is the last.
    pub details: Vec<FixedDetail>,
    /// The trailers, in order.
    pub trailers: Vec<FixedLine>,
    /// The fields of the records, as far as they are known: an item that none of them is for is an error then.
    pub fields: Option<Vec<String>>,
    /// Files are read only: each item that is not always the same is a value.
    pub reading: bool,
    /// A stamp to try headers and trailers out with.
    pub sample: Stamp,
}

/// Records that fill the last block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Padding {
    /// Records of a block.
    pub multiple: u64,
    /// What they are full of: `9` for banks.
    pub with: char,
}

/// One record of a file.
#[derive(Clone, Debug)]
pub struct FixedLine {
    /// Its layout; the name is its type in `count(TYPE)`.
    pub record: Item,
    /// Items and what stands in them.
    pub set: Vec<(String, Set)>,
    /// What holds for items without rules of their own.
    pub rules: Rules,
    /// Items with rules of their own.
    pub items: Vec<(String, Rules)>,
    /// Which of several redefinitions counts.
    pub choices: Vec<Choice>,
    /// What becomes of items that nothing stands in: refuse, or their initial value.
    pub unset: Unbound,
}

impl FixedLine {
    /// A record in which nothing is set and nothing is left unset.
    pub fn new(record: Item) -> FixedLine {
        FixedLine {
            record,
            set: Vec::new(),
            rules: Rules::default(),
            items: Vec::new(),
            choices: Vec::new(),
            unset: Unbound::Refuse,
        }
    }
}

/// One kind of detail.
#[derive(Clone, Debug)]
pub struct FixedDetail {
    /// The record.
    pub line: FixedLine,
    /// Items and the fields that stand in them. An item that is neither here nor set is that of the field with its name;
    /// letter case does not count, and `-` is `_`.
    pub map: Vec<(String, Pick)>,
    /// Which rows are of this kind; none = those that are of none before.
    pub when: Option<When>,
}

/// Which rows are of a kind.
#[derive(Clone, Debug, PartialEq)]
pub struct When {
    /// The field; `$action` is what the line tells the host.
    pub field: String,
    /// Its values, as texts.
    pub is: Vec<String>,
}

/// Where the value of an item comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum Pick {
    /// A field: its name, or a path with dots into objects. For a table a list, or a text that is one in JSON.
    Field(String),
    /// For a table: its occurrences. Those at the end that are null are left out.
    List(Vec<Pick>),
    /// For an occurrence of a group: its items.
    Items(Vec<(String, Pick)>),
}

/// A compiled feed.
#[derive(Debug)]
pub(super) struct Fixed {
    framing: Framing,
    pad: Option<Pad>,
    eof: Option<u8>,
    headers: Vec<Line>,
    details: Vec<Detail>,
    trailers: Vec<Line>,
    counting: Counting,
    page: &'static CodePage,
}

/// A compiled kind of detail.
#[derive(Debug)]
struct Detail {
    line: Line,
    when: Option<When>,
    /// The values of the sample, for [`Fixed::fits`].
    sample: Vec<Value>,
    /// Its item for each field of the totals; none = it has none.
    taps: Vec<Option<tap::Tap>>,
}

impl Fixed {
    pub fn new(spec: FixedFeed) -> Result<Fixed, Vec<String>> {
        let mut wrong = Vec::new();
        let mut counting = Counting::default();
        let mut lines = |specs: &[FixedLine], counting: &mut Counting| -> Vec<Line> {
            specs.iter().filter_map(|line| Line::compile(&spec, line, None, counting, &mut wrong)).collect()
        };
        let (headers, trailers) = (lines(&spec.headers, &mut counting), lines(&spec.trailers, &mut counting));
        let mut details = Vec::new();
        for detail in &spec.details {
            let line = Line::compile(&spec, &detail.line, Some(&detail.map), &mut counting, &mut wrong);
            let when = detail.when.clone();
            details.extend(line.map(|line| Detail { line, when, sample: Vec::new(), taps: Vec::new() }));
        }
        if spec.details.is_empty() {
            wrong.push("there is no detail record".to_owned());
        }
        if let Some((_, first)) = spec.details.split_last()
            && first.iter().any(|detail| detail.when.is_none())
        {
            wrong.push("of several detail records each but the last needs `when`".to_owned());
        }
        wrong.extend(spec.framing.check(&lengths(&spec)));
        let pad = padding(&spec).unwrap_or_else(|text| {
            wrong.push(text);
            None
        });
        let (framing, eof, page) = (spec.framing.clone(), spec.eof, spec.page);
        let mut fixed = Fixed { framing, pad, eof, headers, details, trailers, counting, page };
        // Without all details fields would seem to be missing that are not.
        if fixed.details.len() == spec.details.len() {
            for expression in fixed.counting.expressions() {
                wrong.extend(fixed.can_count(expression).err());
            }
        }
        let lines = fixed.headers.len() + fixed.details.len() + fixed.trailers.len();
        if spec.reading {
            fixed.tap();
        } else if lines == spec.headers.len() + spec.details.len() + spec.trailers.len() {
            fixed.try_out(&spec.sample, &mut wrong);
        }
        match wrong.is_empty() {
            true => Ok(fixed),
            false => Err(wrong),
        }
    }

    /// Headers and trailers with a sample.
    fn try_out(&mut self, sample: &Stamp, wrong: &mut Vec<String>) {
        self.tap();
        let results = self.counting.results(None);
        let given = Given { stamp: sample, file: "", results: &results };
        let mut bytes = Vec::new();
        for line in self.headers.iter().chain(&self.trailers) {
            wrong.extend(line.encode(&given, &mut bytes).err().map(|reason| reason.text.into_owned()));
        }
        for detail in &mut self.details {
            match detail.line.file_values(&given) {
                Ok(values) => detail.sample = values,
                Err(reason) => wrong.push(reason.text.into_owned()),
            }
        }
    }

    pub fn sums_first(&self) -> bool {
        self.headers.iter().any(Line::shows_totals)
    }

    pub fn gaps(&self) -> Vec<String> {
        let details = self.details.iter().map(|detail| &detail.line);
        self.headers.iter().chain(details).chain(&self.trailers).filter_map(Line::gaps).collect()
    }

    pub fn can_count(&self, expression: &Expression) -> Result<(), String> {
        let all = self.headers.iter().chain(&self.trailers).chain(self.details.iter().map(|detail| &detail.line));
        let kinds: Vec<&str> = all.map(|line| line.name()).collect();
        Counting::check(expression, &kinds, |field| {
            let details = self.details.iter().map(|detail| &detail.line);
            tap::sample(details, field)
        })
    }

    pub fn count(&mut self, expression: &Expression) {
        if self.can_count(expression).is_ok() {
            self.counting.add(expression);
            self.tap();
        }
    }

    /// Finds the items of the totals' fields.
    fn tap(&mut self) {
        for detail in &mut self.details {
            let fields = self.counting.fields().iter();
            detail.taps = fields.map(|field| tap::Tap::find(&detail.line, field, self.page).ok()).collect();
        }
    }

    /// The bytes that a row takes at most, when it can be encoded.
    pub fn fits(&self, row: &Row<'_>) -> Result<u64, Reason> {
        let detail = self.detail(row)?;
        let mut record = Vec::new();
        detail.line.detail(row, &detail.sample, &mut record)?;
        // The others hold whatever has its length.
        if matches!(self.framing, Framing::Text { .. }) {
            frame::Writer::new(std::io::sink(), self.framing.clone(), None).write(&record).map_err(framed)?;
        }
        if detail.taps.iter().flatten().any(tap::Tap::is_text) {
            let mut texts = Vec::new();
            take(&mut self.counting.totals(), self, detail, &record, &mut texts)?;
        }
        // Each may begin a block.
        let block =
            if matches!(self.framing, Framing::Variable { blksize: Some(_), .. }) { frame::WORD as u64 } else { 0 };
        Ok(self.taken(record.len()) + block)
    }

    /// Bytes by which what stands around the rows may be longer than in an empty file: records that fill the last block.
    pub fn growth(&self) -> u64 {
        self.pad.as_ref().map_or(0, |pad| pad.multiple.saturating_mul(self.taken(pad.record.len())))
    }

    /// Bytes that a record takes in the file.
    fn taken(&self, length: usize) -> u64 {
        let more = match &self.framing {
            Framing::Fixed { terminator, .. } | Framing::Text { terminator } => terminator.len(),
            Framing::Variable { .. } => frame::WORD,
        };
        (length + more) as u64
    }

    /// The kind of a row.
    fn detail(&self, row: &Row<'_>) -> Result<&Detail, Reason> {
        let none = || Reason::new(ENCODING, "the row is of none of the kinds of records: unknown_record");
        self.details.iter().find(|detail| detail.takes(row)).ok_or_else(none)
    }

    pub fn file<'f>(&'f self, stamp: &'f Stamp, name: &'f str) -> Result<Pen<'f>, Reason> {
        Pen::new(self, stamp, name)
    }
}

impl Detail {
    fn takes(&self, row: &Row<'_>) -> bool {
        let Some(When { field, is }) = &self.when else { return true };
        if field == "$action" {
            return is.iter().any(|word| word == row.action);
        }
        let value = pick::path(row.record, field);
        value.and_then(Value::as_text).is_some_and(|text| is.iter().any(|word| *word == text))
    }
}

/// Takes a detail into the totals.
fn take(
    totals: &mut Totals,
    feed: &Fixed,
    detail: &Detail,
    record: &[u8],
    texts: &mut Vec<String>,
) -> Result<(), Reason> {
    texts.resize_with(detail.taps.len(), String::new);
    for (tap, text) in detail.taps.iter().zip(texts.iter_mut()) {
        if let Some(tap) = tap {
            tap.read_text(record, text);
        }
    }
    let taps = detail.taps.iter().zip(texts.iter()).zip(feed.counting.fields());
    let fields = taps.filter_map(|((tap, text), name)| Some((name.as_str(), tap.as_ref()?.read(record, text)?)));
    let fields: Vec<_> = fields.collect();
    let bytes = feed.taken(record.len());
    totals.take(&Counted { kind: detail.line.name(), detail: true, bytes, fields: &fields }).map_err(counting::refused)
}

/// The lengths of each kind of record, once.
fn lengths(spec: &FixedFeed) -> Vec<Lengths> {
    let details = spec.details.iter().map(|detail| &detail.line);
    let mut all: Vec<Lengths> = Vec::new();
    for line in spec.headers.iter().chain(details).chain(&spec.trailers) {
        let lengths = Lengths::of(&line.record);
        if !all.contains(&lengths) {
            all.push(lengths);
        }
    }
    all
}

fn padding(spec: &FixedFeed) -> Result<Option<Pad>, String> {
    let Some(Padding { multiple, with }) = spec.padding else { return Ok(None) };
    let Framing::Fixed { lrecl, .. } = spec.framing else {
        return Err("only records of fixed length (F, FB) can fill up the last block".to_owned());
    };
    let byte = spec.page.byte(with).ok_or("the code page has no such character to fill records with")?;
    match multiple {
        0 => Err("a block has at least one record".to_owned()),
        _ => Ok(Some(Pad { multiple, record: vec![byte; lrecl] })),
    }
}

/// A misfit of a record as the reason for which its row is held.
fn misfit(record: &str, misfit: &crate::format::fixed::Misfit) -> Reason {
    let mut text = String::with_capacity(record.len() + 32);
    // A text takes whatever is written into it.
    let _ = write!(text, "{misfit} ({record})");
    Reason::new(ENCODING, text)
}

fn framed(error: frame::FrameError) -> Reason {
    Reason::new(ENCODING, error.to_string())
}
