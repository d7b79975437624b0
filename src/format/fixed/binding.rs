//! What a record is compiled with: the code page, the conventions of the receiver, and what stands in each item.

use crate::event::Value;
use crate::format::codepage::CodePage;
use crate::rules::nearest::hint;

/// How a record is encoded.
#[derive(Clone, Debug)]
pub struct Options {
    /// The code page of its texts and of the digits of zoned numbers.
    pub page: &'static CodePage,
    /// How zoned numbers have their signs when the code page is no EBCDIC. There is no default: a record that has such
    /// numbers does not compile without it.
    pub overpunch: Option<Overpunch>,
    /// COMP-5 with its lowest byte first, as on Intel; else as on a mainframe.
    pub little_endian: bool,
    /// Reads blanks in zoned numbers as zero; else they are damage.
    pub blank_is_zero: bool,
    /// What becomes of named items without a binding.
    pub unbound: Unbound,
    /// What holds for every item that has no rules of its own.
    pub rules: Rules,
    /// What stands in the items.
    pub bindings: Vec<Binding>,
    /// Which of several redefinitions counts.
    pub choices: Vec<Choice>,
}

impl Options {
    /// With nothing bound and nothing chosen.
    pub fn new(page: &'static CodePage) -> Options {
        Options {
            page,
            overpunch: None,
            little_endian: false,
            blank_is_zero: false,
            unbound: Unbound::Refuse,
            rules: Rules::default(),
            bindings: Vec::new(),
            choices: Vec::new(),
        }
    }
}

/// How a sign shares the byte of a digit in ASCII.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overpunch {
    /// `ebcdic`: as the characters that the bytes of EBCDIC are: +12 `01B`, -12 `01K`.
    Ebcdic,
    /// `microfocus`: +12 `012`, -12 `01r`.
    MicroFocus,
    /// `separate`: not at all. Signed numbers without SIGN SEPARATE are refused.
    Separate,
}

/// What becomes of a named item without a binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unbound {
    /// The record does not compile.
    Refuse,
    /// It is a slot: for reading records of which every item is wanted.
    Slot,
    /// It gets its VALUE, else spaces or zeros; it is among the gaps.
    Initial,
}

/// What stands in an item.
#[derive(Clone, Debug)]
pub struct Binding {
    /// `NAME`, or `NAME OF GROUP` where the name alone is several items'. A group is taken as text.
    pub item: String,
    /// Where its value comes from.
    pub source: Source,
    /// Its own rules; none = those of the [`Options`].
    pub rules: Option<Rules>,
}

/// Where a value comes from.
#[derive(Clone, Debug)]
pub enum Source {
    /// The row: the item becomes a [`crate::format::fixed::Slot`].
    Slot,
    /// Always this one.
    Constant(Value),
    /// Its VALUE, else spaces or zeros.
    Initial,
}

impl Overpunch {
    /// Reads `ebcdic`, `microfocus` or `separate`.
    pub fn parse(text: &str) -> Result<Overpunch, String> {
        let known =
            [("ebcdic", Overpunch::Ebcdic), ("microfocus", Overpunch::MicroFocus), ("separate", Overpunch::Separate)];
        one_of(text, &known)
    }
}

impl Round {
    /// Reads `exact`, `half_up`, `half_even` or `truncate`.
    pub fn parse(text: &str) -> Result<Round, String> {
        let known = [
            ("exact", Round::Exact),
            ("half_up", Round::HalfUp),
            ("half_even", Round::HalfEven),
            ("truncate", Round::Truncate),
        ];
        one_of(text, &known)
    }
}

impl Null {
    /// Reads `spaces`, `zeros`, `low-values` or `high-values`; a constant is another's to read.
    pub fn parse(text: &str) -> Result<Null, String> {
        let known =
            [("spaces", Null::Spaces), ("zeros", Null::Zeros), ("low-values", Null::Low), ("high-values", Null::High)];
        one_of(text, &known)
    }
}

fn one_of<T: Clone>(text: &str, known: &[(&'static str, T)]) -> Result<T, String> {
    let names = || known.iter().map(|(name, _)| *name);
    known
        .iter()
        .find(|(name, _)| *name == text)
        .map(|(_, found)| found.clone())
        .ok_or_else(|| format!("`{text}` is none of {}{}", names().collect::<Vec<_>>().join(", "), hint(text, names())))
}

/// What is allowed in an item.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// What stands for null; none = spaces in texts, zero in numbers.
    pub null: Option<Null>,
    /// What stands for null in numbers, where that is something else.
    pub null_number: Option<Null>,
    /// A key is never null.
    pub key: bool,
    /// `overflow: truncate_right`: a text that is too long loses its end. Else the row is held.
    pub truncate_right: bool,
    /// `unmappable: "?"`: stands for characters that the code page does not have. Else the row is held.
    pub unmappable: Option<char>,
    /// Control characters may stand in texts. Else the row is held.
    pub controls: bool,
    /// What becomes of decimal places that the item does not have.
    pub round: Round,
}

/// What stands for null.
#[derive(Clone, Debug, PartialEq)]
pub enum Null {
    /// Spaces; not in packed and binary numbers.
    Spaces,
    /// Zeros: the number, or that digit in each byte of a text.
    Zeros,
    /// Bytes 00.
    Low,
    /// Bytes FF.
    High,
    /// This value.
    Constant(Value),
}

/// What becomes of decimal places that an item does not have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Round {
    /// Unless they are zeros the row is held.
    #[default]
    Exact,
    /// Half and more goes away from zero, as COBOL's ROUNDED.
    HalfUp,
    /// Half goes to the even neighbour.
    HalfEven,
    /// They are dropped.
    Truncate,
}

/// Which of the items that share a place counts.
#[derive(Clone, Debug)]
pub struct Choice {
    /// One of the items that share it, best the first.
    pub of: String,
    /// Which one.
    pub select: Select,
}

/// How an item is chosen.
#[derive(Clone, Debug)]
pub enum Select {
    /// Always this one: a record for each record type.
    Always(String),
    /// By the value of an item that stands before, in the same occurrence or around it.
    By {
        /// The item whose value chooses.
        item: String,
        /// Its values, and what each chooses.
        when: Vec<(Value, String)>,
    },
}
