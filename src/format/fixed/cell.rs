//! One item: a value in its bytes.

use std::sync::Arc;

use crate::event::Value;
use crate::format::codepage::CodePage;
use crate::format::fixed::edited::Editing;
use crate::format::fixed::number::Digits;
use crate::format::fixed::{Code, Null};

/// An elementary item.
#[derive(Clone, Debug)]
pub(super) struct Cell {
    pub name: Arc<str>,
    pub length: usize,
    pub content: Content,
    /// What stands for null; None in keys.
    pub null: Option<Blank>,
}

/// What stands for null.
#[derive(Clone, Debug)]
pub(super) struct Blank {
    pub bytes: Arc<[u8]>,
    /// Whether these bytes mean null when they are read.
    pub is_null: bool,
}

#[derive(Clone, Debug)]
pub(super) enum Content {
    Text(Characters),
    Number(Digits),
    Edited(Editing),
}

/// Characters in a code page.
#[derive(Clone, Debug)]
pub(super) struct Characters {
    pub page: &'static CodePage,
    pub right: bool,
    pub truncate: bool,
    pub unmappable: Option<u8>,
    pub controls: bool,
}

impl Cell {
    /// Appends a value.
    #[inline]
    pub fn encode(&self, value: &Value, out: &mut Vec<u8>) -> Result<(), Code> {
        if matches!(value, Value::Null) {
            let blank = self.null.as_ref().ok_or(Code::NullKey)?;
            out.extend_from_slice(&blank.bytes);
            return Ok(());
        }
        match &self.content {
            Content::Text(characters) => characters.encode(value, self.length, out),
            Content::Number(digits) => {
                let start = out.len();
                out.resize(start + self.length, 0);
                digits.encode(value, &mut out[start..])
            }
            Content::Edited(editing) => editing.encode(value, out),
        }
    }

    /// The value of bytes, as many as the item has.
    pub fn decode(&self, bytes: &[u8]) -> Result<Value, Code> {
        if self.null.as_ref().is_some_and(|blank| blank.is_null && *blank.bytes == *bytes) {
            return Ok(Value::Null);
        }
        match &self.content {
            Content::Text(characters) => characters.decode(bytes),
            Content::Number(digits) => Ok(digits.value(digits.take(bytes)?)),
            Content::Edited(editing) => editing.decode(bytes),
        }
    }

    /// Whether it holds a number, edited or not.
    pub fn is_number(&self) -> bool {
        match &self.content {
            Content::Text(_) => false,
            Content::Number(_) => true,
            Content::Edited(editing) => editing.edited.number,
        }
    }

    /// The bytes that a value chooses by, in their one spelling.
    pub fn key(&self, value: &Value) -> Result<Box<[u8]>, Code> {
        let mut bytes = Vec::with_capacity(self.length);
        self.encode(value, &mut bytes)?;
        Ok(bytes.into())
    }

    /// What stands for null, by the rules of the item or their default.
    pub fn blank(&self, null: Option<&Null>, page: &CodePage) -> Result<Blank, Code> {
        let filled = |byte| Ok(vec![byte; self.length].into());
        let number = self.is_number();
        let bytes: Box<[u8]> = match null {
            None if number => self.key(&Value::Integer(0))?,
            Some(Null::Zeros) if number => self.key(&Value::Integer(0))?,
            Some(Null::Zeros) => filled(page.zero())?,
            None | Some(Null::Spaces) => filled(page.space())?,
            Some(Null::Low) => filled(0)?,
            Some(Null::High) => filled(0xff)?,
            Some(Null::Constant(value)) => self.key(value)?,
        };
        let is_null = match null {
            None | Some(Null::Zeros) => false,
            Some(Null::Spaces) => number,
            Some(Null::Low | Null::High | Null::Constant(_)) => true,
        };
        Ok(Blank { bytes: bytes.into(), is_null })
    }
}

impl Characters {
    #[inline]
    fn encode(&self, value: &Value, length: usize, out: &mut Vec<u8>) -> Result<(), Code> {
        match value {
            Value::Text(text) => self.put(text, length, out),
            _ => self.put(&value.as_text().ok_or(Code::Kind)?, length, out),
        }
    }

    fn put(&self, text: &str, length: usize, out: &mut Vec<u8>) -> Result<(), Code> {
        if !self.controls && has_controls(text) {
            return Err(Code::Control);
        }
        let start = out.len();
        if self.right {
            // Padding comes first: as many as are missing is known only after the text.
            self.page.encode(text, self.unmappable, out).map_err(|_| Code::Unmappable)?;
            let taken = out.len() - start;
            if taken > length {
                return Err(Code::Overflow);
            }
            out.resize(start + length, self.page.space());
            out[start..].rotate_right(length - taken);
            return Ok(());
        }
        self.page.encode(text, self.unmappable, out).map_err(|_| Code::Unmappable)?;
        let end = start + length;
        if out.len() > end {
            // Spaces at the end are padding, whoever wrote them.
            let mut cut = end;
            if self.truncate {
                // Never through a character of several bytes.
                while cut > start
                    && self.page.character(out[cut]).is_none()
                    && out[cut] & 0xc0 == 0x80
                    && self.is_utf8()
                {
                    cut -= 1;
                }
            } else if out[end..].iter().any(|byte| *byte != self.page.space()) {
                return Err(Code::Overflow);
            }
            out.truncate(cut);
        }
        out.resize(end, self.page.space());
        Ok(())
    }

    fn is_utf8(&self) -> bool {
        self.page.name() == "UTF-8"
    }

    fn decode(&self, bytes: &[u8]) -> Result<Value, Code> {
        let space = self.page.space();
        let text = if self.right {
            let from = bytes.iter().position(|byte| *byte != space).unwrap_or(bytes.len());
            &bytes[from..]
        } else {
            let to = bytes.iter().rposition(|byte| *byte != space).map_or(0, |last| last + 1);
            &bytes[..to]
        };
        self.page.decode(text).map(|text| Value::Text(text.into())).map_err(|_| Code::BadCharacter)
    }
}

/// C0, DEL and C1.
pub(super) fn has_controls(text: &str) -> bool {
    let bytes = text.as_bytes();
    let ascii = bytes.iter().fold(false, |found, byte| found | (*byte < 0x20) | (*byte == 0x7f));
    // C1 is C2 80 to C2 9F.
    ascii || (!text.is_ascii() && bytes.windows(2).any(|pair| pair[0] == 0xc2 && (0x80..0xa0).contains(&pair[1])))
}
