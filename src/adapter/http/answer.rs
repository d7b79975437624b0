//! Reading an answer as its bytes come in (HTTP/1.1, RFC 9112): the head with httparse, the body by the one length
//! that the head states. Answers whose length can be read in two ways are not trusted (§6.3): what one reader takes
//! for the end of a body, another takes for the next answer.

#[cfg(test)]
mod tests;

use super::fields::Fields;
use super::trouble::Trouble;
use super::{BODY_LIMIT, HEAD_LIMIT};
use crate::rules::classify::Answer;

/// Most header fields of an answer.
const FIELDS: usize = 128;

/// Longest line of a chunk's size, extensions included.
const CHUNK_LINE: usize = 1024;

/// An answer whose head was read to its end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// `Content-Type` as sent.
    pub content_type: Option<String>,
    /// `Retry-After` as sent.
    pub retry_after: Option<String>,
    /// `Date` as sent.
    pub date: Option<String>,
    /// `Location` as sent.
    pub location: Option<String>,
    /// All fields: of a refusal (401 to 403), of whatever an [`super::Exchange`] got, and where the caller wants them;
    /// else none.
    pub fields: Fields,
    /// Body as far as it was read.
    pub body: Vec<u8>,
    /// False when the body went on beyond the limit, or broke off in an answer that is no success.
    pub whole: bool,
}

impl Reply {
    /// As [`crate::rules::classify::classify`] wants it.
    pub fn answer(&self) -> Answer<'_> {
        Answer {
            status: self.status,
            content_type: self.content_type.as_deref(),
            retry_after: self.retry_after.as_deref(),
            date: self.date.as_deref(),
            location: self.location.as_deref(),
            body: &self.body,
            whole: self.whole,
        }
    }

    pub(super) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// An answer that is complete, or as complete as it needs to be.
#[derive(Debug, PartialEq, Eq)]
pub struct Complete {
    /// What came back.
    pub reply: Reply,
    /// Whether the connection can carry another request.
    pub keep: bool,
}

/// What is expected next.
#[derive(Debug, Default)]
enum Stage {
    #[default]
    Head,
    /// So many bytes of the body are left.
    Length(u64),
    /// The body ends with the connection.
    UntilClose,
    /// The line with the size of a chunk.
    Size,
    /// So many bytes of a chunk are left.
    Chunk(u64),
    /// The line end behind a chunk.
    ChunkEnd,
    /// The fields behind the last chunk.
    Trailer,
}

/// One answer that is being read.
#[derive(Debug)]
pub struct Reading {
    stage: Stage,
    /// The head, or a line of the chunked coding, as far as it has come.
    held: Vec<u8>,
    /// Heads of 1xx answers, trailers: bytes that count against the limit of the head.
    passed: usize,
    /// Bytes of the head at which it is parsed again although no empty line has come: garbage is noticed at once.
    look_at: usize,
    reply: Reply,
    keep: bool,
    /// All fields are wanted.
    all: bool,
    /// Most bytes of the body that are read.
    most: usize,
}

impl Default for Reading {
    fn default() -> Reading {
        Reading::new(false, BODY_LIMIT)
    }
}

impl Reading {
    /// The next answer; `all`: with all of its fields; with at most so many bytes of its body.
    pub fn new(all: bool, most: usize) -> Reading {
        Reading {
            stage: Stage::Head,
            held: Vec::new(),
            passed: 0,
            look_at: 0,
            reply: Reply::default(),
            keep: false,
            all,
            most,
        }
    }

    /// Takes what came in; an answer once it is complete. After an error nothing more is fed.
    pub fn feed(&mut self, mut bytes: &[u8]) -> Result<Option<Complete>, Trouble> {
        let complete = match self.advance(&mut bytes) {
            Ok(complete) => complete,
            Err(trouble) => return self.broke(trouble).map(Some),
        };
        // Bytes that belong to no answer: the next one on this connection could not be trusted.
        self.keep &= bytes.is_empty();
        Ok(complete.then(|| self.take()))
    }

    /// The target has ended the connection, properly (`clean`) or not.
    pub fn ended(&mut self, clean: bool) -> Result<Complete, Trouble> {
        if clean && matches!(self.stage, Stage::UntilClose) {
            self.keep = false;
            return Ok(self.take());
        }
        self.broke(Trouble::passing("closed", "the target closed the connection before its answer was complete"))
    }

    /// Nothing more will come. The status of a refusal stands, even when its explanation broke off.
    pub fn broke(&mut self, trouble: Trouble) -> Result<Complete, Trouble> {
        self.keep = false;
        if matches!(self.stage, Stage::Head) || self.reply.is_success() {
            return Err(trouble);
        }
        self.reply.whole = false;
        Ok(self.take())
    }

    fn take(&mut self) -> Complete {
        Complete { reply: std::mem::take(&mut self.reply), keep: self.keep }
    }

    /// Whether the answer is complete. What is left of `bytes` then belongs to no answer.
    fn advance(&mut self, bytes: &mut &[u8]) -> Result<bool, Trouble> {
        if matches!(self.stage, Stage::Head) {
            if !self.head(bytes)? {
                return Ok(false);
            }
            if matches!(self.stage, Stage::Length(0)) || !self.reply.whole {
                return Ok(true);
            }
        }
        while !bytes.is_empty() {
            match self.stage {
                Stage::Head => return Ok(false),
                Stage::UntilClose => {
                    if !self.body(bytes, u64::MAX) {
                        return Ok(true);
                    }
                }
                Stage::Length(left) => {
                    let before = bytes.len() as u64;
                    if !self.body(bytes, left) {
                        return Ok(true);
                    }
                    let left = left - (before - bytes.len() as u64);
                    self.stage = Stage::Length(left);
                    if left == 0 {
                        return Ok(true);
                    }
                }
                Stage::Chunk(left) => {
                    let before = bytes.len() as u64;
                    if !self.body(bytes, left) {
                        return Ok(true);
                    }
                    let left = left - (before - bytes.len() as u64);
                    self.stage = if left == 0 { Stage::ChunkEnd } else { Stage::Chunk(left) };
                }
                Stage::Size | Stage::ChunkEnd | Stage::Trailer => {
                    if self.line(bytes)? {
                        return Ok(true);
                    }
                }
            }
        }
        Ok(false)
    }

    /// Takes bytes of the body, at most `most`. False = there is more of it than is read.
    fn body(&mut self, bytes: &mut &[u8], most: u64) -> bool {
        let most = usize::try_from(most).unwrap_or(usize::MAX).min(bytes.len());
        let room = self.most.saturating_sub(self.reply.body.len());
        let (taken, rest) = bytes.split_at(most.min(room));
        self.reply.body.extend_from_slice(taken);
        *bytes = rest;
        if most > room {
            (self.reply.whole, self.keep) = (false, false);
        }
        most <= room
    }

    /// Takes bytes up to a line end of the chunked coding. True = the body is at its end.
    fn line(&mut self, bytes: &mut &[u8]) -> Result<bool, Trouble> {
        let end = bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |at| at + 1);
        let (taken, rest) = bytes.split_at(end);
        self.held.extend_from_slice(taken);
        *bytes = rest;
        let broken = || Trouble::garbage("the answer breaks the rules of HTTP: a chunk has no proper size or end");
        self.passed += taken.len();
        if self.held.len() > CHUNK_LINE || (matches!(self.stage, Stage::Trailer) && self.passed > HEAD_LIMIT) {
            return Err(broken());
        }
        if !self.held.ends_with(b"\n") {
            return Ok(false);
        }
        let empty = self.held == b"\r\n";
        match self.stage {
            Stage::ChunkEnd if !empty => return Err(broken()),
            Stage::ChunkEnd => self.stage = Stage::Size,
            Stage::Trailer if empty => return Ok(true),
            Stage::Trailer => {}
            // The parser takes an empty size for 0.
            _ if !self.held.first().is_some_and(u8::is_ascii_hexdigit) => return Err(broken()),
            _ => match httparse::parse_chunk_size(&self.held) {
                Ok(httparse::Status::Complete((_, 0))) => (self.stage, self.passed) = (Stage::Trailer, 0),
                Ok(httparse::Status::Complete((_, size))) => self.stage = Stage::Chunk(size),
                _ => return Err(broken()),
            },
        }
        self.held.clear();
        Ok(false)
    }

    /// Takes the head, and those of 1xx answers before it. False = it is not complete yet.
    fn head(&mut self, bytes: &mut &[u8]) -> Result<bool, Trouble> {
        loop {
            let before = self.held.len();
            // Most heads come in one piece and are read where they are.
            let whole: &[u8] = if before == 0 {
                bytes
            } else {
                self.held.extend_from_slice(bytes);
                &self.held
            };
            // One byte at a time must not make this quadratic: a head is parsed when its end has come.
            let tail = whole.get(before.saturating_sub(3)..).unwrap_or_default();
            let at_end = tail.windows(2).any(|two| two == b"\n\n") || tail.windows(3).any(|three| three == b"\n\r\n");
            let length =
                if at_end || whole.len() >= self.look_at { parse(whole, &mut self.reply, self.all)? } else { None };
            let Some((length, framing)) = length else {
                if self.passed + whole.len() > HEAD_LIMIT {
                    return Err(too_long());
                }
                self.look_at = (whole.len() * 2).max(256);
                if before == 0 {
                    self.held.extend_from_slice(bytes);
                }
                *bytes = &[];
                return Ok(false);
            };
            self.passed += length;
            if self.passed > HEAD_LIMIT {
                return Err(too_long());
            }
            *bytes = bytes.get(length - before..).unwrap_or_default();
            self.held.clear();
            self.look_at = 0;
            if (100..200).contains(&self.reply.status) && self.reply.status != 101 {
                if bytes.is_empty() {
                    return Ok(false);
                }
                continue;
            }
            self.frame(&framing)?;
            return Ok(true);
        }
    }

    /// How the body ends (RFC 9112 §6.3), and whether the connection lives on (§9.3).
    fn frame(&mut self, framing: &Framing) -> Result<(), Trouble> {
        self.reply.whole = true;
        self.keep = framing.keep.unwrap_or(framing.version == 1);
        self.passed = 0;
        let ambiguous = framing.lengths > 1 || framing.codings > 1 || (framing.lengths > 0 && framing.codings > 0);
        if ambiguous || (framing.codings > 0 && (!framing.chunked || framing.version == 0)) {
            return Err(Trouble::garbage("the answer states its length in more than one way"));
        }
        if framing.lengths > 0 && framing.length.is_none() {
            return Err(Trouble::garbage("the answer breaks the rules of HTTP: its length is not a number"));
        }
        if self.reply.status == 101 {
            return Err(Trouble::garbage("the answer breaks the rules of HTTP: nobody asked for another protocol"));
        }
        let bodiless = matches!(self.reply.status, 204 | 304);
        if framing.encoded && !bodiless {
            if self.reply.is_success() {
                let text = "the answer is compressed although identity was asked for";
                return Err(Trouble::answered("content-encoding", text));
            }
            // Its status says enough; what was compressed is not unpacked.
            (self.reply.whole, self.keep) = (false, false);
            return Ok(());
        }
        self.stage = match framing.length {
            _ if bodiless => Stage::Length(0),
            Some(length) => Stage::Length(length),
            None if framing.chunked => Stage::Size,
            None => Stage::UntilClose,
        };
        Ok(())
    }
}

fn too_long() -> Trouble {
    Trouble::garbage(format!("the head of the answer is longer than {HEAD_LIMIT} bytes"))
}

/// What a head says of the body and the connection.
#[derive(Debug, Default)]
struct Framing {
    /// Minor version.
    version: u8,
    lengths: usize,
    length: Option<u64>,
    codings: usize,
    chunked: bool,
    encoded: bool,
    /// What `Connection` says.
    keep: Option<bool>,
}

/// Reads a head into `reply`; its length in bytes, or none when it is not complete.
fn parse(bytes: &[u8], reply: &mut Reply, all: bool) -> Result<Option<(usize, Framing)>, Trouble> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS];
    let mut head = httparse::Response::new(&mut fields);
    let length = match head.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(error) => return Err(Trouble::garbage(format!("the answer breaks the rules of HTTP: {error}"))),
    };
    *reply = Reply { status: head.code.unwrap_or_default(), ..Reply::default() };
    let mut framing = Framing { version: head.version.unwrap_or_default(), ..Framing::default() };
    let all = all || matches!(reply.status, 401..=403);
    for field in head.headers.iter() {
        if all {
            reply.fields.add(field.name, field.value);
        }
        let is = |name: &str| field.name.eq_ignore_ascii_case(name);
        match field.name.len() {
            4 if is("date") => reply.date = text(field.value),
            8 if is("location") => reply.location = text(field.value),
            10 if is("connection") => note_connection(field.value, &mut framing),
            11 if is("retry-after") => reply.retry_after = text(field.value),
            12 if is("content-type") => reply.content_type = text(field.value),
            14 if is("content-length") => {
                framing.lengths += 1;
                framing.length = number(field.value);
            }
            16 if is("content-encoding") => framing.encoded |= !field.value.eq_ignore_ascii_case(b"identity"),
            17 if is("transfer-encoding") => {
                framing.codings += 1;
                framing.chunked = field.value.eq_ignore_ascii_case(b"chunked");
            }
            _ => {}
        }
    }
    Ok(Some((length, framing)))
}

fn note_connection(value: &[u8], framing: &mut Framing) {
    for token in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
        if token.eq_ignore_ascii_case(b"close") {
            framing.keep = Some(false);
        } else if token.eq_ignore_ascii_case(b"keep-alive") && framing.keep.is_none() {
            framing.keep = Some(true);
        }
    }
}

/// Digits only (RFC 9110 §8.6).
fn number(value: &[u8]) -> Option<u64> {
    let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(value).ok().filter(|_| digits)?.parse().ok()
}

/// Visible ASCII; anything else is as good as absent.
fn text(value: &[u8]) -> Option<String> {
    let visible = value.iter().all(|byte| (0x20..0x7f).contains(byte) || *byte == b'\t');
    std::str::from_utf8(value).ok().filter(|_| visible).map(str::to_owned)
}
