//! COBOL copybooks as they are received, to layouts.
//!
//! Source: IBM Enterprise COBOL for z/OS, Language Reference (data description entries, reference format, COPY). What it
//! reads and refuses stands in `docs/MAINFRAME.md`. Nothing is read from disk here: whoever calls has the library.

mod copy;
mod entry;
mod lex;
mod picture;
mod source;

use std::sync::Arc;

use copy::Copier;
use entry::{Entry, Usage};
use lex::Place;
use picture::Picture;

use crate::format::layout::{self, Edited, Form, Item, Kind, Layout, Number, Problem, Problems, Sign, Symbol, Text};

/// How lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Columns 1-6 and 73-80 do not count, column 7 is the indicator.
    #[default]
    Fixed,
    /// Every column counts.
    Free,
}

/// How a copybook is read.
pub struct Reading<'r> {
    /// How its lines are written, and those of what it copies.
    pub format: Format,
    /// Numbers of up to 31 digits, as the compiler option ARITH(EXTEND) allows; else 18.
    pub extended: bool,
    /// Words that become others, in all of it: `:TAG:` by `CUST`.
    pub replacing: Vec<(String, String)>,
    /// The text of the copybook that COPY names.
    pub library: &'r dyn Fn(&str) -> Option<String>,
}

impl Default for Reading<'_> {
    fn default() -> Self {
        Reading { format: Format::Fixed, extended: false, replacing: Vec::new(), library: &|_| None }
    }
}

/// Reads the copybook `text`; `name` is what problems call it, and the record of one that begins below level 01.
pub fn read(name: &str, text: &str, reading: &Reading<'_>) -> Result<Layout, Problems> {
    let mut problems = Vec::new();
    let mut copier = Copier::new(reading);
    let tokens = copier.copy(name, text);
    problems.extend(copier.wrong.into_iter().map(|(place, text)| problem(&place, None, text)));
    let entries = entry::entries(&tokens, &mut |wrong| {
        problems.push(problem(&wrong.place, wrong.item, wrong.text));
    });
    let mut tree = Tree { extended: reading.extended, problems };
    let mut records = tree.records(name, &entries);
    let mut problems = tree.problems;
    if records.is_empty() && problems.is_empty() {
        let outside = Place { source: name.into(), line: 0 };
        problems.push(problem(&outside, None, "there is no item in the copybook".to_owned()));
    }
    // Places are worth looking at only when every item is there.
    if problems.is_empty() {
        problems.extend(layout::place(&mut records));
    }
    if problems.is_empty() {
        return Ok(Layout { records });
    }
    // A compiler cuts there without a word, and so it is done here; but then it may be why.
    if let Some(place) = copier.cut {
        let text = "a word stands across column 72, and what is behind it does not count; is the file in free format?";
        problems.push(problem(&place, None, text.to_owned()));
    }
    Err(Problems(problems))
}

fn problem(place: &Place, item: Option<Arc<str>>, text: String) -> Problem {
    Problem { source: (&*place.source).into(), line: place.line, item, text }
}

/// Builds items out of entries.
struct Tree {
    extended: bool,
    problems: Vec<Problem>,
}

/// What a group hands down to its items.
#[derive(Clone, Copy, Default)]
struct Inherited {
    usage: Option<Usage>,
    sign: Option<Sign>,
}

impl Tree {
    fn wrong(&mut self, entry: &Entry, text: impl Into<String>) {
        if let Some(place) = &entry.place {
            let name = entry.name.clone().unwrap_or_else(|| "FILLER".into());
            self.problems.push(problem(place, Some(name), text.into()));
        }
    }

    fn records(&mut self, name: &str, entries: &[Entry]) -> Vec<Item> {
        let mut records = Vec::new();
        let is_record = |entry: &Entry| matches!(entry.level, 1 | 77);
        let begin = entries.iter().position(is_record).unwrap_or(entries.len());
        let (loose, mut rest) = entries.split_at(begin);
        if !loose.is_empty() {
            // A copybook for `01 RECORD. COPY NAME.`
            let stem = name.rsplit('/').next().unwrap_or(name);
            let stem = stem.split_once('.').map_or(stem, |(stem, _)| stem);
            let place = loose.first().and_then(|entry| entry.place.clone());
            let record = Entry { level: 1, name: Some(stem.to_uppercase().into()), place, ..Entry::default() };
            records.extend(self.item(&record, loose, Inherited::default()));
        }
        while let Some((first, after)) = rest.split_first() {
            let below = after.iter().position(is_record).unwrap_or(after.len());
            let (own, next) = after.split_at(below);
            if first.occurs.is_some() {
                self.wrong(first, "OCCURS does not stand at level 01 or 77");
            }
            if first.level == 77 && !own.is_empty() {
                self.wrong(first, "an item of level 77 has no items below it");
            }
            records.extend(self.item(first, own, Inherited::default()));
            rest = next;
        }
        records
    }

    /// An item and all below it.
    fn item(&mut self, entry: &Entry, below: &[Entry], above: Inherited) -> Option<Item> {
        let inherited = Inherited { usage: entry.usage.or(above.usage), sign: entry.sign.or(above.sign) };
        if let (Some(own), Some(group)) = (entry.usage, above.usage)
            && own != group
        {
            self.wrong(entry, "its USAGE contradicts that of the group around it");
        }
        let (kind, length) = match (&entry.picture, below.is_empty()) {
            (Some(picture), true) => self.elementary(entry, picture, inherited)?,
            (None, false) => {
                for (has, what) in [(entry.right, "JUSTIFIED"), (entry.blank_when_zero, "BLANK WHEN ZERO")] {
                    if has {
                        self.wrong(entry, format!("{what} stands at an item with a PICTURE"));
                    }
                }
                (Kind::Group(self.below(below, inherited)), 0)
            }
            (Some(_), false) => {
                let first = below.first().map_or("", |entry| entry.name.as_deref().unwrap_or("FILLER"));
                self.wrong(entry, format!("has a PICTURE and items below it (`{first}` is the first)"));
                return None;
            }
            (None, true) => {
                self.wrong(entry, "has neither a PICTURE nor items below it");
                return None;
            }
        };
        let place = entry.place.as_ref()?;
        Some(Item {
            level: entry.level,
            name: entry.name.clone(),
            source: (&*place.source).into(),
            line: place.line,
            kind,
            picture: entry.picture.clone().map(String::into_boxed_str),
            occurs: entry.occurs.clone(),
            redefines: entry.redefines.clone(),
            value: entry.value.clone(),
            offset: 0,
            length,
            shortest: length,
            moves: false,
        })
    }

    /// The items of a group. IBM's compilers take a level between those of the group and of the item before it as one
    /// of an item beside it.
    fn below(&mut self, entries: &[Entry], inherited: Inherited) -> Vec<Item> {
        let mut items = Vec::new();
        let mut rest = entries;
        while let Some((first, after)) = rest.split_first() {
            let below = after.iter().position(|entry| entry.level <= first.level).unwrap_or(after.len());
            let (own, next) = after.split_at(below);
            items.extend(self.item(first, own, inherited));
            rest = next;
        }
        items
    }

    /// An item with a picture, and its length.
    fn elementary(&mut self, entry: &Entry, picture: &str, inherited: Inherited) -> Option<(Kind, usize)> {
        let usage = inherited.usage.unwrap_or(Usage::Display);
        let read = match picture::read(picture, if self.extended { 31 } else { 18 }) {
            Ok(read) => read,
            Err(text) => {
                self.wrong(entry, text);
                return None;
            }
        };
        let (kind, length) = match read {
            Picture::Number { digits, scale, signed } => {
                let form = match usage {
                    Usage::Display => Form::Zoned(inherited.sign.unwrap_or_default()),
                    Usage::Packed => Form::Packed,
                    Usage::Binary => Form::Binary,
                    Usage::Native => Form::Native,
                };
                if matches!(form, Form::Binary | Form::Native) && digits > 18 {
                    self.wrong(entry, "a binary number has at most 18 digits");
                }
                if entry.sign.is_some() && !(signed && usage == Usage::Display) {
                    self.wrong(entry, "SIGN stands at a number with S in its PICTURE and USAGE DISPLAY");
                }
                if entry.blank_when_zero && (usage != Usage::Display || signed) {
                    self.wrong(entry, "BLANK WHEN ZERO stands at an unsigned number of USAGE DISPLAY");
                }
                if entry.right {
                    self.wrong(entry, "JUSTIFIED stands at text");
                }
                let number = Number { digits, scale, signed, form, blank_when_zero: entry.blank_when_zero };
                (Kind::Number(number), number.length())
            }
            Picture::Text(length) => {
                if entry.blank_when_zero {
                    self.wrong(entry, "BLANK WHEN ZERO stands at a number");
                }
                (Kind::Text(Text { right: entry.right }), length)
            }
            Picture::Edited(edited) => {
                if entry.right {
                    self.wrong(entry, "JUSTIFIED stands at text without editing symbols");
                }
                if entry.blank_when_zero && (!edited.number || edited.symbols.contains(&Symbol::Suppress('*'))) {
                    self.wrong(entry, "BLANK WHEN ZERO stands at a number, and not beside `*`");
                }
                let length = edited.length();
                (Kind::Edited(Edited { blank_when_zero: entry.blank_when_zero, ..edited }), length)
            }
        };
        if usage != Usage::Display && !matches!(kind, Kind::Number(_)) {
            self.wrong(entry, "a USAGE other than DISPLAY stands at numbers only");
        }
        Some((kind, length))
    }
}

#[cfg(test)]
mod tests;
