//! Another encoder: slow, simple, written from the table of bytes alone. It shares no code with the product.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Command, Stdio};

/// What a field is, in the table's words.
#[derive(Clone, Debug)]
pub enum Form {
    /// `X(n)`.
    Text(usize),
    /// Digits, and how many of them are behind the point.
    Number { digits: usize, places: usize, signed: bool, how: How },
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum How {
    Zoned,
    Leading,
    SeparateLeading,
    SeparateTrailing,
    Packed,
    Binary,
}

/// The receiver's convention.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum World {
    Ebcdic,
    /// ASCII with signs as in EBCDIC.
    Image,
    MicroFocus,
}

/// What a field holds: a text, or a number as its digits without the point, and whether it is below zero.
#[derive(Clone, Debug)]
pub enum Held {
    Text(String),
    Number(bool, u64),
}

/// The bytes of characters, asked of `iconv` once.
pub struct Page(BTreeMap<char, u8>);

impl Page {
    pub fn of(name: &str, characters: &str) -> Page {
        let mut child = Command::new("iconv")
            .args(["-f", "UTF-8", "-t", name])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(characters.as_bytes()).unwrap();
        let bytes = child.wait_with_output().unwrap().stdout;
        assert_eq!(bytes.len(), characters.chars().count());
        Page(characters.chars().zip(bytes).collect())
    }
}

impl Form {
    /// The clause of a copybook.
    pub fn clause(&self) -> String {
        let Form::Number { digits, places, signed, how } = self else {
            let Form::Text(length) = self else { unreachable!() };
            return format!("PIC X({length})");
        };
        let sign = if *signed { "S" } else { "" };
        let whole = if digits > places { format!("9({})", digits - places) } else { String::new() };
        let fraction = if *places > 0 { format!("V9({places})") } else { String::new() };
        let how = match how {
            How::Zoned => "",
            How::Leading => " SIGN LEADING",
            How::SeparateLeading => " SIGN LEADING SEPARATE",
            How::SeparateTrailing => " SIGN TRAILING SEPARATE",
            How::Packed => " COMP-3",
            How::Binary => " COMP",
        };
        format!("PIC {sign}{whole}{fraction}{how}")
    }

    /// The bytes of a value.
    pub fn bytes(&self, held: &Held, world: World, page: &Page) -> Vec<u8> {
        match (self, held) {
            (Form::Text(length), Held::Text(text)) => {
                let mut bytes: Vec<u8> = text.chars().map(|c| page.0[&c]).collect();
                while bytes.len() < *length {
                    bytes.push(page.0[&' ']);
                }
                bytes
            }
            (Form::Number { digits, signed, how, .. }, Held::Number(negative, number)) => {
                let text = format!("{number:0digits$}");
                assert_eq!(text.len(), *digits);
                let below = *negative && *number != 0;
                match how {
                    How::Packed => {
                        let sign = match (signed, below) {
                            (false, _) => 'F',
                            (true, false) => 'C',
                            (true, true) => 'D',
                        };
                        let mut half = format!("{text}{sign}");
                        if half.len() % 2 == 1 {
                            half.insert(0, '0');
                        }
                        (0..half.len())
                            .step_by(2)
                            .map(|at| u8::from_str_radix(&half[at..at + 2], 16).unwrap())
                            .collect()
                    }
                    How::Binary => {
                        let value = if below { -(*number as i64) } else { *number as i64 };
                        match digits {
                            1..=4 => (value as i16).to_be_bytes().to_vec(),
                            5..=9 => (value as i32).to_be_bytes().to_vec(),
                            _ => value.to_be_bytes().to_vec(),
                        }
                    }
                    _ => zoned(&text, *signed, below, *how, world, page),
                }
            }
            _ => panic!("{self:?} does not hold {held:?}"),
        }
    }
}

fn zoned(text: &str, signed: bool, below: bool, how: How, world: World, page: &Page) -> Vec<u8> {
    let mut bytes: Vec<u8> = text.chars().map(|c| page.0[&c]).collect();
    if !signed {
        return bytes;
    }
    let sign = page.0[if below { &'-' } else { &'+' }];
    match how {
        How::SeparateLeading => bytes.insert(0, sign),
        How::SeparateTrailing => bytes.push(sign),
        _ => {
            let at = if how == How::Leading { 0 } else { bytes.len() - 1 };
            let digit = text.as_bytes()[at] - b'0';
            bytes[at] = match (world, below) {
                (World::Ebcdic, false) => 0xc0 + digit,
                (World::Ebcdic, true) => 0xd0 + digit,
                (World::Image, false) => b"{ABCDEFGHI"[usize::from(digit)],
                (World::Image, true) => b"}JKLMNOPQR"[usize::from(digit)],
                (World::MicroFocus, false) => b"0123456789"[usize::from(digit)],
                (World::MicroFocus, true) => b"pqrstuvwxy"[usize::from(digit)],
            };
        }
    }
    bytes
}
