//! The packets of SFTP version 3 (draft-ietf-secsh-filexfer-02), and the extensions of OpenSSH (its file `PROTOCOL`).
//!
//! Names and handles are bytes here, as they are there: a server of another age sends what is not UTF-8.

/// Longest answer that is taken, in bytes. OpenSSH sends at most 256 KiB of data in one.
pub const LONGEST: usize = 1 << 20;

/// Version spoken.
pub const VERSION: u32 = 3;

/// Kinds of packets. Named as in the draft.
#[allow(missing_docs)]
pub mod kind {
    pub const INIT: u8 = 1;
    pub const VERSION: u8 = 2;
    pub const OPEN: u8 = 3;
    pub const CLOSE: u8 = 4;
    pub const READ: u8 = 5;
    pub const WRITE: u8 = 6;
    pub const OPENDIR: u8 = 11;
    pub const READDIR: u8 = 12;
    pub const REMOVE: u8 = 13;
    pub const STAT: u8 = 17;
    pub const RENAME: u8 = 18;
    pub const STATUS: u8 = 101;
    pub const HANDLE: u8 = 102;
    pub const DATA: u8 = 103;
    pub const NAME: u8 = 104;
    pub const ATTRS: u8 = 105;
    pub const EXTENDED: u8 = 200;
    pub const EXTENDED_REPLY: u8 = 201;
}

/// Codes of a STATUS. Named as in the draft.
#[allow(missing_docs)]
pub mod status {
    pub const OK: u32 = 0;
    pub const EOF: u32 = 1;
    pub const NO_SUCH_FILE: u32 = 2;
    pub const PERMISSION_DENIED: u32 = 3;
    pub const FAILURE: u32 = 4;
    pub const NO_CONNECTION: u32 = 6;
    pub const CONNECTION_LOST: u32 = 7;
    pub const OP_UNSUPPORTED: u32 = 8;
}

/// Flags of an OPEN. Named as in the draft.
#[allow(missing_docs)]
pub mod flag {
    pub const READ: u32 = 0x01;
    pub const WRITE: u32 = 0x02;
    pub const CREAT: u32 = 0x08;
    pub const TRUNC: u32 = 0x10;
}

const ATTR_SIZE: u32 = 0x01;
const ATTR_UIDGID: u32 = 0x02;
const ATTR_PERMISSIONS: u32 = 0x04;
const ATTR_ACMODTIME: u32 = 0x08;
const ATTR_EXTENDED: u32 = 0x8000_0000;

/// A packet that is being put together; its length is filled in by [`Packet::done`].
#[derive(Debug)]
pub struct Packet(Vec<u8>);

impl Packet {
    /// A request of a kind under a number (for INIT the version), with room for so many bytes more.
    pub fn new(kind: u8, id: u32, room: usize) -> Packet {
        let mut bytes = Vec::with_capacity(room + 64);
        bytes.extend_from_slice(&[0, 0, 0, 0, kind]);
        bytes.extend_from_slice(&id.to_be_bytes());
        Packet(bytes)
    }

    /// A number of 32 bits.
    pub fn u32(mut self, value: u32) -> Packet {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    /// A number of 64 bits.
    pub fn u64(mut self, value: u64) -> Packet {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    /// Bytes with their length in front.
    pub fn text(self, bytes: impl AsRef<[u8]>) -> Packet {
        let mut packet = self.u32(bytes.as_ref().len() as u32);
        packet.0.extend_from_slice(bytes.as_ref());
        packet
    }

    /// Bytes of a reader with their length in front: `most`, or fewer at its end. Gives how many.
    pub fn fill(self, from: &mut dyn std::io::Read, most: usize) -> std::io::Result<(Packet, usize)> {
        let Packet(mut bytes) = self.u32(0);
        let start = bytes.len();
        bytes.resize(start + most, 0);
        let mut filled = start;
        while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match from.read(rest) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        bytes.truncate(filled);
        let length = filled - start;
        let field = bytes.iter_mut().skip(start - 4);
        field.zip((length as u32).to_be_bytes()).for_each(|(to, from)| *to = from);
        Ok((Packet(bytes), length))
    }

    /// The packet as it goes on the wire.
    pub fn done(mut self) -> Vec<u8> {
        let length = (self.0.len().saturating_sub(4) as u32).to_be_bytes();
        self.0.iter_mut().zip(length).for_each(|(to, from)| *to = from);
        self.0
    }
}

/// Attributes of a file, as far as they matter here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// Bytes.
    pub size: Option<u64>,
    /// Mode, with the file type.
    pub mode: Option<u32>,
    /// Seconds since 1970 of the last write.
    pub written: Option<u64>,
}

impl Attributes {
    /// Whether it is certainly something else than a plain file.
    pub fn is_no_file(&self) -> bool {
        let kind = self.mode.map_or(0, |mode| mode & 0o170_000);
        kind != 0 && kind != 0o100_000
    }

    /// Whether it is certainly a plain file.
    pub fn is_file(&self) -> bool {
        self.mode.is_some_and(|mode| mode & 0o170_000 == 0o100_000)
    }
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A code of [`status`] and the server's words.
    Status(u32, Vec<u8>),
    /// A handle.
    Handle(Vec<u8>),
    /// Bytes of a file.
    Data(Vec<u8>),
    /// Names of a folder.
    Names(Vec<(Vec<u8>, Attributes)>),
    /// Attributes.
    Attributes(Attributes),
    /// Answer to an extension.
    Extended(Vec<u8>),
    /// The server's extensions, by name.
    Version(u32, Vec<(Vec<u8>, Vec<u8>)>),
}

/// Takes an answer apart: its number, and what it says. None when it is not one.
pub fn answer(packet: &[u8]) -> Option<(u32, Answer)> {
    let mut rest = Reader(packet);
    let kind = rest.u8()?;
    let id = rest.u32()?;
    let answer = match kind {
        kind::VERSION => {
            let mut extensions = Vec::new();
            while !rest.0.is_empty() {
                extensions.push((rest.text()?, rest.text()?));
            }
            Answer::Version(id, extensions)
        }
        // Servers of an early draft send no words.
        kind::STATUS => Answer::Status(rest.u32()?, rest.text().unwrap_or_default()),
        kind::HANDLE => Answer::Handle(rest.text()?),
        kind::DATA => Answer::Data(rest.text()?),
        kind::NAME => {
            let count = rest.u32()?;
            let mut names = Vec::new();
            for _ in 0..count {
                let name = rest.text()?;
                rest.text()?;
                names.push((name, rest.attributes()?));
            }
            Answer::Names(names)
        }
        kind::ATTRS => Answer::Attributes(rest.attributes()?),
        kind::EXTENDED_REPLY => Answer::Extended(rest.0.to_vec()),
        _ => return None,
    };
    Some((id, answer))
}

/// The limits of `limits@openssh.com`: longest packet, read and write in bytes; 0 = not told.
pub fn limits(reply: &[u8]) -> Option<(u64, u64, u64)> {
    let mut rest = Reader(reply);
    Some((rest.u64()?, rest.u64()?, rest.u64()?))
}

/// Reads numbers and texts off the front.
#[derive(Debug)]
pub struct Reader<'a>(pub &'a [u8]);

impl Reader<'_> {
    fn take(&mut self, count: usize) -> Option<&[u8]> {
        let (front, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(front)
    }

    /// A byte.
    pub fn u8(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    /// A number of 32 bits.
    pub fn u32(&mut self) -> Option<u32> {
        self.take(4)?.try_into().ok().map(u32::from_be_bytes)
    }

    /// A number of 64 bits.
    pub fn u64(&mut self) -> Option<u64> {
        self.take(8)?.try_into().ok().map(u64::from_be_bytes)
    }

    /// Bytes with their length in front.
    pub fn text(&mut self) -> Option<Vec<u8>> {
        let length = self.u32()? as usize;
        self.take(length).map(<[u8]>::to_vec)
    }

    /// Attributes.
    pub fn attributes(&mut self) -> Option<Attributes> {
        let flags = self.u32()?;
        let mut attributes = Attributes::default();
        if flags & ATTR_SIZE != 0 {
            attributes.size = Some(self.u64()?);
        }
        if flags & ATTR_UIDGID != 0 {
            self.u64()?;
        }
        if flags & ATTR_PERMISSIONS != 0 {
            attributes.mode = Some(self.u32()?);
        }
        if flags & ATTR_ACMODTIME != 0 {
            self.u32()?;
            attributes.written = Some(u64::from(self.u32()?));
        }
        if flags & ATTR_EXTENDED != 0 {
            for _ in 0..self.u32()? {
                self.text()?;
                self.text()?;
            }
        }
        Some(attributes)
    }
}

/// A packet whose length is none that a server would send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadLength;

/// Takes whole packets out of a stream of bytes.
#[derive(Debug, Default)]
pub struct Inbox(Vec<u8>);

impl Inbox {
    /// Adds bytes as they came.
    pub fn push(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// The next whole packet without its length. An error when its length is not one that a server would send.
    pub fn packet(&mut self) -> Result<Option<Vec<u8>>, BadLength> {
        let Some(length) = Reader(&self.0).u32() else { return Ok(None) };
        let length = length as usize;
        if !(5..=LONGEST).contains(&length) {
            return Err(BadLength);
        }
        if self.0.len() < length + 4 {
            return Ok(None);
        }
        let rest = self.0.split_off(length + 4);
        let mut packet = std::mem::replace(&mut self.0, rest);
        packet.drain(..4);
        Ok(Some(packet))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_is_a_length_a_kind_a_number_and_its_fields() {
        let packet = Packet::new(kind::OPEN, 7, 0).text("//'A.B'").u32(flag::WRITE).u32(0).done();
        let expected =
            [[0, 0, 0, 24, 3, 0, 0, 0, 7, 0, 0, 0, 7].as_slice(), b"//'A.B'", [0, 0, 0, 2, 0, 0, 0, 0].as_slice()]
                .concat();
        assert_eq!(packet, expected);
    }

    #[test]
    fn names_and_handles_that_are_not_utf8_stay_as_they_are() {
        let handle = Packet::new(kind::HANDLE, 1, 0).text([0xff, 0, 0x80]).done();
        assert_eq!(answer(&handle[4..]), Some((1, Answer::Handle(vec![0xff, 0, 0x80]))));
        let attributes = Attributes { size: Some(5), mode: Some(0o100_644), written: Some(9) };
        let names = Packet::new(kind::NAME, 2, 0).u32(1).text([0xe9]).text("-rw").u32(0x0d).u64(5).u32(0o100_644);
        let names = names.u32(8).u32(9).done();
        assert_eq!(answer(&names[4..]), Some((2, Answer::Names(vec![(vec![0xe9], attributes)]))));
    }

    #[test]
    fn a_packet_that_is_cut_or_lies_about_its_length_is_none() {
        let whole = Packet::new(kind::NAME, 2, 0).u32(1).text("a").text("b").u32(0x8000_0001).u64(5).u32(1);
        let whole = whole.text("x").text("y").done();
        assert!(answer(&whole[4..]).is_some());
        for cut in 4..whole.len() {
            assert_eq!(answer(&whole[4..cut]), None, "{cut}");
        }
        assert_eq!(answer(&Packet::new(kind::NAME, 1, 0).u32(u32::MAX).done()[4..]), None);
        assert_eq!(answer(&Packet::new(kind::DATA, 1, 0).u32(u32::MAX).done()[4..]), None);
        assert_eq!(answer(&Packet::new(99, 1, 0).done()[4..]), None);
    }

    #[test]
    fn packets_come_out_whole_however_the_bytes_came_in() {
        let two = [Packet::new(kind::STATUS, 1, 0).u32(0).done(), Packet::new(kind::HANDLE, 2, 0).text("h").done()];
        let stream = two.concat();
        for step in 1..=stream.len() {
            let (mut inbox, mut found) = (Inbox::default(), Vec::new());
            for bytes in stream.chunks(step) {
                inbox.push(bytes);
                while let Some(packet) = inbox.packet().unwrap() {
                    found.push(answer(&packet).unwrap());
                }
            }
            assert_eq!(found, [(1, Answer::Status(0, Vec::new())), (2, Answer::Handle(b"h".to_vec()))], "{step}");
        }
    }

    #[test]
    fn an_answer_of_a_gigabyte_is_refused_before_it_is_gathered() {
        let mut inbox = Inbox::default();
        inbox.push(&[0x40, 0, 0, 0, 101]);
        assert_eq!(inbox.packet(), Err(BadLength));
        let mut inbox = Inbox::default();
        inbox.push(&[0, 0, 0, 4]);
        assert_eq!(inbox.packet(), Err(BadLength));
    }

    #[test]
    fn the_limits_of_openssh_are_understood() {
        let reply = [262_144u64, 261_120, 261_120, 0].map(u64::to_be_bytes).concat();
        assert_eq!(limits(&reply), Some((262_144, 261_120, 261_120)));
        assert_eq!(limits(&reply[..20]), None);
    }
}
