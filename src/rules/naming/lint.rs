//! Whether the names of a pattern will be taken by their target: tried out with the dates and sequences of more than a year.

use std::collections::HashMap;

use jiff::Span;
use jiff::civil::{self, Date, Time};
use jiff::tz::TimeZone;

use super::{Pattern, Sequence, Stamp, Values};
use crate::clock::Timestamp;
use crate::rules::nearest::hint;
use crate::rules::zone;

/// Dates that are tried out: each day of a year, and some of the next so that a name without year is seen to come back.
pub const SAMPLE_DATES: i32 = 400;

/// What takes the names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Data sets of z/OS: qualifiers of 1 to 8 characters with dots between, of A-Z 0-9 # @ $ and -, no digit or - first; 44
    /// in all, 35 before a generation like `(+1)`; a member in parentheses.
    Zos,
    /// The portable file name character set of POSIX: A-Z a-z 0-9 . _ -, no - first; 255 at most.
    Posix,
    /// DOS: 8 characters, and an extension of 3.
    Dos83,
    /// No `-`, which some receivers take for a switch or a range.
    NoDash,
}

/// What the samples are made with.
#[derive(Clone, Debug)]
pub struct Samples {
    /// This installation.
    pub office: String,
    /// The drop.
    pub drop: String,
    /// Its sequence.
    pub sequence: Sequence,
    /// Cut-offs a date.
    pub per_date: usize,
    /// Their zone.
    pub zone: TimeZone,
}

impl Target {
    /// By its word: `zos`, `posix`, `dos83`, `no_dash`.
    pub fn parse(word: &str) -> Result<Target, String> {
        const WORDS: [(&str, Target); 4] =
            [("zos", Target::Zos), ("posix", Target::Posix), ("dos83", Target::Dos83), ("no_dash", Target::NoDash)];
        WORDS
            .iter()
            .find(|(known, _)| *known == word)
            .map(|(_, target)| *target)
            .ok_or_else(|| format!("`{word}` is not known{}", hint(word, WORDS.map(|(known, _)| known))))
    }

    /// What is wrong with a name for it.
    pub fn wrong(self, name: &str) -> Option<String> {
        match self {
            Target::Zos => zos(name),
            Target::Posix => posix(name),
            Target::Dos83 => dos(name),
            Target::NoDash => name.contains('-').then(|| "it has a `-`".to_owned()),
        }
    }
}

/// Everything that is wrong with the names of a pattern: each problem once, with the first name that has it; and names
/// that come twice, unless the receiver counts them itself (`(+1)`). For the name of a file beside the data file, `file` is
/// the pattern of that one's.
pub fn lint(pattern: &Pattern, file: Option<&Pattern>, targets: &[Target], samples: &Samples) -> Vec<String> {
    let mut wrong: Vec<(String, String)> = Vec::new();
    let mut note = |what: String, example: String| {
        if !wrong.iter().any(|(known, _)| *known == what) {
            wrong.push((what, example));
        }
    };
    let mut seen: HashMap<String, Date> = HashMap::new();
    for stamp in samples.stamps() {
        let file = file.map_or(Ok(String::new()), |file| file.name(&stamp));
        let values = |file: &str| pattern.fill(&Values { stamp: &stamp, file, sealed: None, totals: &[] });
        let name = match file.and_then(|file| values(&file)) {
            Ok(name) => name,
            Err(reason) => {
                note(reason.text.into_owned(), format!("sequence {} of {}", stamp.seq, stamp.bus_date));
                continue;
            }
        };
        for target in targets {
            if let Some(what) = target.wrong(&name) {
                note(what, format!("`{name}`"));
            }
        }
        if name.is_empty() {
            note("the name is empty".to_owned(), format!("{}", stamp.bus_date));
        }
        match seen.insert(name.clone(), stamp.bus_date) {
            Some(before) if !pattern.is_relative() => {
                note("a name comes twice".to_owned(), format!("`{name}` of {before} and of {}", stamp.bus_date));
            }
            _ => {}
        }
    }
    wrong.into_iter().map(|(what, example)| format!("{what}: {example}")).collect()
}

impl Samples {
    /// The stamps of [`SAMPLE_DATES`] dates.
    fn stamps(&self) -> impl Iterator<Item = Stamp> {
        let per_date = u64::try_from(self.per_date.max(1)).unwrap_or(1);
        let mut used = None;
        let mut generation = 0;
        (0..SAMPLE_DATES).flat_map(move |day| (0..per_date).map(move |nth| (day, nth))).filter_map(move |(day, nth)| {
            let bus_date = civil::date(2026, 1, 1).checked_add(Span::new().days(day)).ok()?;
            let second = i64::try_from((nth + 1) * 86_399 / per_date).ok()?;
            let time = Time::midnight().checked_add(Span::new().seconds(second)).ok()?;
            let cut = zone::first_instant(&self.zone, bus_date.to_datetime(time))?;
            let prev_seq = used.unwrap_or(0);
            let seq = self.sequence.next(used)?;
            used = Some(seq);
            generation += 1;
            Some(Stamp {
                office: self.office.clone(),
                drop: self.drop.clone(),
                bus_date,
                cut,
                created: Timestamp(cut.0 + 1000),
                zone: self.zone.clone(),
                seq,
                prev_seq,
                generation,
                rerun: 0,
                modifier: nth,
                part: (1, 1),
            })
        })
    }
}

/// z/OS data set names (z/OS DFSMS Using Data Sets, "Data set names"), with an optional generation or member.
fn zos(name: &str) -> Option<String> {
    let name = name.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')).unwrap_or(name);
    let (base, inside) = match name.strip_suffix(')').and_then(|rest| rest.split_once('(')) {
        Some((base, inside)) => (base, Some(inside)),
        None => (name, None),
    };
    let generation = |inside: &str| {
        let digits = inside.strip_prefix(['+', '-']).unwrap_or(inside);
        !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
    };
    let longest = if inside.is_some_and(generation) { 35 } else { 44 };
    if base.len() > longest {
        return Some(format!("z/OS takes {longest} characters, and it has more"));
    }
    let first = |char: char| char.is_ascii_uppercase() || matches!(char, '#' | '@' | '$');
    let qualifier = |part: &str, dash: bool| match part.chars().next() {
        None => Some("z/OS takes no empty qualifier (two dots, or one at an end)".to_owned()),
        Some(_) if part.chars().count() > 8 => {
            Some("z/OS takes qualifiers of 8 characters, and one is longer".to_owned())
        }
        Some(char) if !first(char) => Some(format!("z/OS takes no qualifier that begins with `{char}`")),
        Some(_) => part
            .chars()
            .find(|char| !(first(*char) || char.is_ascii_digit() || (dash && *char == '-')))
            .map(|char| format!("z/OS takes no `{char}` in a name")),
    };
    let member = inside.filter(|inside| !generation(inside)).and_then(|member| qualifier(member, false));
    base.split('.').find_map(|part| qualifier(part, true)).or(member)
}

/// POSIX.1-2017, 3.282 Portable Filename Character Set.
fn posix(name: &str) -> Option<String> {
    let strange = name.chars().find(|char| !(char.is_ascii_alphanumeric() || matches!(char, '.' | '_' | '-')));
    match strange {
        Some(char) => Some(format!("`{char}` is not in the portable character set of POSIX")),
        None if name.starts_with('-') => Some("it begins with `-`, like an option".to_owned()),
        None if name == "." || name == ".." => Some("it is a folder".to_owned()),
        None if name.len() > 255 => Some("it has more than 255 characters".to_owned()),
        None => None,
    }
}

/// File names of DOS: 8.3, upper case, no device.
fn dos(name: &str) -> Option<String> {
    let (stem, extension) = name.split_once('.').unwrap_or((name, ""));
    let device = |digit: u8| digit.is_ascii_digit() && digit != b'0';
    let reserved = matches!(stem, "CON" | "PRN" | "AUX" | "NUL")
        || matches!(stem.as_bytes(), [b'C', b'O', b'M', digit] | [b'L', b'P', b'T', digit] if device(*digit));
    if reserved {
        return Some(format!("`{stem}` is a device of DOS"));
    }
    let strange =
        |char: &char| !(char.is_ascii_uppercase() || char.is_ascii_digit() || "_^$~!#%&-{}@'()".contains(*char));
    match [stem, extension].concat().chars().find(strange) {
        Some('.') => Some("DOS takes one dot".to_owned()),
        Some(char) => Some(format!("DOS takes no `{char}` in a name")),
        None if stem.is_empty() || stem.len() > 8 => Some("DOS takes 1 to 8 characters before the dot".to_owned()),
        None if extension.len() > 3 => Some("DOS takes 3 characters after the dot".to_owned()),
        None => None,
    }
}
