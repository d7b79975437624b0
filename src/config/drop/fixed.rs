//! `format:` of fixed records: code page, frame, and the records themselves.

use crate::config::drop::csv::byte;
use crate::config::drop::format::{self, FeedSpec, Kind, Purpose};
use crate::config::drop::record::{self, Role};
use crate::config::drop::shelf::Shelf;
use crate::config::drop::table;
use crate::config::fields::Fields;
use crate::config::found::Found;
use crate::config::tree::Value;
use crate::format::codepage::{self, CodePage};
use crate::format::copybook::{self, Format, Reading};
use crate::format::csv::{Eol, eol};
use crate::format::feed::{FixedDetail, FixedFeed, FixedLine, Padding};
use crate::format::fixed::{Overpunch, Rules};
use crate::format::frame::{Framing, LARGEST, WORD};
use crate::format::layout::Layout;

/// `recfm:`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Recfm {
    Fixed,
    Variable,
    Text,
}

/// The keys of `kind: copybook` and `kind: fields`.
pub(super) const KEYS: [&str; 26] = [
    "copybook",
    "copyDirs",
    "replacing",
    "free",
    "extended",
    "fields",
    "recfm",
    "lrecl",
    "blksize",
    "terminator",
    "codepage",
    "sign",
    "littleEndian",
    "blankNumeric",
    "padToBlock",
    "eof",
    "null",
    "overflow",
    "unmappable",
    "round",
    "controls",
    "header",
    "detail",
    "trailer",
    "whenEmpty",
    "kind",
];

/// Reads the keys of `kind: copybook` and `kind: fields`.
pub(super) fn fixed(fields: &Fields<'_>, kind: Kind, purpose: &Purpose<'_>, shelf: &Shelf) -> Option<FixedFeed> {
    const SIGNS: [(&str, Overpunch); 3] =
        [("ebcdic", Overpunch::Ebcdic), ("microfocus", Overpunch::MicroFocus), ("separate", Overpunch::Separate)];
    let like = match purpose.like {
        Some(FeedSpec::Fixed(like)) => Some(like.as_ref()),
        _ => None,
    };
    let layout = match kind {
        Kind::Copybook => layout(fields, shelf).map(Some),
        Kind::Csv | Kind::Fields => Some(None),
    };
    let page = match (fields.take("codepage"), like) {
        (Some(found), _) => found.parsed(|name| codepage::named(name).map_err(|error| error.to_string())),
        (None, Some(like)) => Some(like.page),
        (None, None) if purpose.reading => purpose.like.map(FeedSpec::page),
        (None, None) => {
            fields.section().error_hint("does not say the code page", "write for example `codepage: cp037`");
            None
        }
    };
    let overpunch = fields.take("sign").map_or(Some(like.and_then(|like| like.overpunch)), |found| {
        found.choice("convention for signs", &SIGNS).map(Some)
    });
    let little_endian =
        fields.take("littleEndian").map_or(Some(like.is_some_and(|like| like.little_endian)), |found| found.flag());
    let blank = fields
        .take("blankNumeric")
        .map_or(Some(false), |found| found.choice("rule for blank numbers", &[("error", false), ("zero", true)]));
    let padding = fields.take("padToBlock").map_or(Some(None), |found| padding(&found).map(Some));
    let eof = fields.take("eof").map_or(Some(None), |found| byte(&found).map(Some));
    let rules = record::rules(fields, Rules::default());
    let own = match kind {
        Kind::Fields => fields.take("fields").map_or(Some(None), |found| table::table(&found).map(Some)),
        Kind::Copybook | Kind::Csv => Some(None),
    };
    let frame = frame(fields, page, like);
    let (layout, rules) = (layout?, rules?);
    let (details, headers, trailers) = match (&layout, purpose.reading, fields.take("detail")) {
        // An answer whose records nobody describes: their order says which they are.
        (Some(layout), true, None) => by_order(fields, layout, &rules),
        (layout, reading, detail) => {
            let mut lines = record::Lines { layout: layout.as_ref(), fields: own.clone()?, rules: &rules, purpose };
            let none = record::Lines { fields: None, ..lines };
            let around = |key, role: Role| {
                let items = fields.take(key).map(|found| found.one_or_many()).unwrap_or_default();
                let read: Vec<FixedLine> = items.iter().filter_map(|item| none.line(item, role)).collect();
                (read.len() == items.len()).then_some(read)
            };
            let (headers, trailers) = (around("header", Role::Header), around("trailer", Role::Trailer));
            lines.purpose = purpose;
            let details = match detail {
                Some(found) => {
                    let items = found.one_or_many();
                    let read: Vec<FixedDetail> = items.iter().filter_map(|item| lines.detail(item)).collect();
                    (read.len() == items.len()).then_some(read)
                }
                None if reading => None,
                None => lines.only(fields.section()).map(|detail| vec![detail]),
            };
            (details, headers, trailers)
        }
    };
    let (details, headers, trailers) = (details?, headers?, trailers?);
    let longest = details.iter().map(|detail| &detail.line).chain(&headers).chain(&trailers);
    let longest = longest.map(|line| line.record.length).max().unwrap_or_default();
    Some(FixedFeed {
        page: page?,
        overpunch: overpunch?,
        little_endian: little_endian?,
        blank_is_zero: blank?,
        framing: frame?.framing(longest),
        padding: padding?,
        eof: eof?,
        headers,
        details,
        trailers,
        fields: purpose.fields.clone(),
        reading: purpose.reading,
        sample: format::sample(),
    })
}

/// Header, details and trailer by their order in the copybook: one record is a detail, the first of several is the header,
/// the last of three and more the trailer.
#[allow(clippy::type_complexity)]
fn by_order(
    fields: &Fields<'_>,
    layout: &Layout,
    rules: &Rules,
) -> (Option<Vec<FixedDetail>>, Option<Vec<FixedLine>>, Option<Vec<FixedLine>>) {
    let line = |at: usize| {
        layout.records.get(at).map(|record| FixedLine { rules: rules.clone(), ..FixedLine::new(record.clone()) })
    };
    let detail = |at: usize| line(at).map(|line| FixedDetail { line, map: Vec::new(), when: None });
    match layout.records.len() {
        1 => (detail(0).map(|detail| vec![detail]), Some(Vec::new()), Some(Vec::new())),
        2 => (detail(1).map(|detail| vec![detail]), line(0).map(|line| vec![line]), Some(Vec::new())),
        3 => (detail(1).map(|detail| vec![detail]), line(0).map(|line| vec![line]), line(2).map(|line| vec![line])),
        count => {
            let text = format!("its copybook has {count} records, and it does not say which is the detail");
            fields.section().error_hint(text, "write `header: {record: ...}`, `detail: {record: ...}`");
            (None, None, None)
        }
    }
}

/// The records of `copybook`.
fn layout(fields: &Fields<'_>, shelf: &Shelf) -> Option<Layout> {
    let place = fields.need("copybook");
    let folders = fields.paths("copyDirs");
    let replacing = fields.take("replacing").map_or(Some(Vec::new()), |found| {
        let entries = found.entries()?.into_iter();
        entries.map(|(word, by)| Some((word.to_owned(), by.word()?))).collect()
    });
    let free = fields.take("free").map_or(Some(false), |found| found.flag());
    let extended = fields.take("extended").map_or(Some(false), |found| found.flag());
    let (place, replacing) = (place?, replacing?);
    let name = place.text()?;
    let text = shelf.copybook(name, &folders).map_err(|why| match why.disk {
        true => place.unread(&why),
        false => place.error_hint(why.text, "put it into a folder copybooks/ beside the settings, or name `copy_dirs`"),
    });
    let format = if free? { Format::Free } else { Format::Fixed };
    let library = |name: &str| shelf.copied(name, &folders).map_err(|why| place.unread(&why)).ok().flatten();
    let reading = Reading { format, extended: extended?, replacing, library: &library };
    let title = name.rsplit('/').next().unwrap_or(name);
    match copybook::read(title, &text.ok()?, &reading) {
        Ok(layout) => Some(layout),
        Err(problems) => {
            problems.0.iter().for_each(|problem| place.error(problem.to_string()));
            None
        }
    }
}

/// How records stand in the file, as far as it is said.
struct Frame {
    recfm: Recfm,
    lrecl: Option<usize>,
    blksize: Option<usize>,
    end: Vec<u8>,
}

impl Frame {
    /// With the longest record where LRECL is not said.
    fn framing(self, longest: usize) -> Framing {
        let Frame { recfm, lrecl, blksize, end } = self;
        match recfm {
            Recfm::Fixed => Framing::Fixed { lrecl: lrecl.unwrap_or(longest), terminator: end },
            Recfm::Variable => Framing::Variable { lrecl: lrecl.unwrap_or(longest + WORD), blksize },
            Recfm::Text => Framing::Text { terminator: end },
        }
    }
}

/// `recfm`, `lrecl`, `blksize` and `terminator`.
fn frame(fields: &Fields<'_>, page: Option<&'static CodePage>, like: Option<&FixedFeed>) -> Option<Frame> {
    const RECFM: [(&str, Recfm); 5] = [
        ("F", Recfm::Fixed),
        ("FB", Recfm::Fixed),
        ("V", Recfm::Variable),
        ("VB", Recfm::Variable),
        ("text", Recfm::Text),
    ];
    let most = i64::try_from(LARGEST).unwrap_or(i64::MAX);
    let size = |key| match fields.take(key) {
        Some(found) => found.integer(1..=most).and_then(|size| usize::try_from(size).ok()).map(Some),
        None => Some(None),
    };
    let recfm = match (fields.take("recfm"), like.map(|like| &like.framing)) {
        (Some(found), _) => found.choice("recfm", &RECFM),
        (None, Some(Framing::Variable { .. })) => Some(Recfm::Variable),
        (None, Some(Framing::Text { .. })) => Some(Recfm::Text),
        (None, _) => Some(Recfm::Fixed),
    };
    let (lrecl, blksize) = (size("lrecl"), size("blksize"));
    let ends = fields.take("terminator");
    let end = match (&ends, like.map(|like| &like.framing)) {
        (Some(found), _) => terminator(found, page?),
        (None, Some(Framing::Fixed { terminator, .. } | Framing::Text { terminator })) => Some(terminator.clone()),
        (None, _) if recfm == Some(Recfm::Text) => page?.byte('\n').map(|byte| vec![byte]),
        (None, _) => Some(Vec::new()),
    };
    if let (Some(found), Some(Recfm::Variable)) = (ends, recfm) {
        found.error_hint("stands beside `recfm: V`", "such records have their length in front: leave it out");
    }
    Some(Frame { recfm: recfm?, lrecl: lrecl?, blksize: blksize?, end: end? })
}

/// What ends a record: `crlf`, `lf`, `cr`, `nl`, or bytes.
fn terminator(found: &Found<'_>, page: &CodePage) -> Option<Vec<u8>> {
    found.parsed(|word| {
        let bytes = |text: &str| {
            let bytes: Option<Vec<u8>> = text.chars().map(|char| page.byte(char)).collect();
            bytes.ok_or_else(|| "the code page has no such line break".to_owned())
        };
        match eol(word)? {
            Eol::CrLf => bytes("\r\n"),
            Eol::Lf => bytes("\n"),
            Eol::Cr => bytes("\r"),
            Eol::Nl => Ok(vec![0x15]),
            Eol::Bytes(bytes) => Ok(bytes),
        }
    })
}

/// `pad_to_block: 10`, or `{records: 10, with: "9"}`.
fn padding(found: &Found<'_>) -> Option<Padding> {
    let count = |found: &Found<'_>| found.integer(1..=1_000_000).and_then(|count| u64::try_from(count).ok());
    if matches!(found.node.value, Value::Integer(_)) {
        return Some(Padding { multiple: count(found)?, with: '9' });
    }
    let fields = found.fields()?;
    let multiple = fields.need("records").and_then(|found| count(&found));
    let with = fields.take("with").map_or(Some('9'), |found| {
        found.parsed(|text| match text.chars().collect::<Vec<char>>().as_slice() {
            [char] => Ok(*char),
            _ => Err(format!("`{text}` is not one character")),
        })
    });
    fields.done();
    Some(Padding { multiple: multiple?, with: with? })
}
