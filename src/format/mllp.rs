//! MLLP: a message of HL7 v2 between `0x0B` and `0x1C 0x0D` (HL7 "Transport Specification: MLLP", releases 1 and 2), and
//! what is heard of whoever receives it.

use crate::format::hl7::Message;
use crate::rules::handshake::{Handshake, wants_commit};
use crate::rules::outcome::Reason;
use crate::rules::verdict::Hl7Path;

/// Begins a message.
pub const BEGIN: u8 = 0x0B;
/// Ends a message; a carriage return follows.
pub const END: u8 = 0x1C;
/// What release 2 says in place of a message: it was kept,
const KEPT: u8 = 0x06;
/// or it could not be.
const NOT_KEPT: u8 = 0x15;

/// Most bytes that are heard for one message.
pub const MOST: usize = 64 * 1024;

/// A message as it stands on the wire.
pub fn frame(message: &[u8]) -> Vec<u8> {
    [&[BEGIN], message, &[END, b'\r']].concat()
}

/// What a receiver says of a message in the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Last {
    /// Its acknowledgement, as text.
    Answer(String),
    /// The negative commit of release 2: it could not keep the message.
    NotKept,
}

/// What is heard for one message until the last of its acknowledgements has come.
#[derive(Debug)]
pub struct Dialogue {
    control: String,
    handshake: Handshake,
    heard: usize,
    /// What has come and is no whole message yet.
    rest: Vec<u8>,
    accepted: bool,
}

impl Dialogue {
    /// Of a message that is to be sent, without its frame.
    ///
    /// # Errors
    /// It cannot be sent by MLLP, or nobody could know what became of it: why. No value of it is in the reason.
    pub fn of(message: &[u8]) -> Result<Dialogue, Reason> {
        let wrong = |text: &'static str| Reason::new("encoding", text);
        if message.iter().any(|byte| [BEGIN, END].contains(byte)) {
            return Err(wrong("the message holds a byte that begins or ends one in MLLP (0x0B, 0x1C)"));
        }
        let text = std::str::from_utf8(message).map_err(|_| wrong("the message is no text"))?;
        let read = Message::read(text).filter(|_| text.starts_with("MSH"));
        let read = read.ok_or_else(|| wrong("the message does not begin with MSH and its delimiters"))?;
        if read.count() > 1 {
            return Err(wrong("there are several MSH segments: a request is one message"));
        }
        let control = read.head(10);
        if control.is_empty() {
            return Err(wrong("the message has no control id (MSH-10), by which its acknowledgement is known"));
        }
        let handshake = Handshake::of(&read.head(15), &read.head(16))?;
        Ok(Dialogue { control, handshake, heard: 0, rest: Vec::new(), accepted: false })
    }

    /// Takes note of what has come; the last word, once it is there. What stands between messages is passed over.
    ///
    /// # Errors
    /// More than [`MOST`] bytes and no last word.
    pub fn hear(&mut self, bytes: &[u8]) -> Result<Option<Last>, Reason> {
        self.heard = self.heard.saturating_add(bytes.len());
        self.rest.extend_from_slice(bytes);
        while let Some(message) = self.next() {
            match message.as_slice() {
                [KEPT] => continue,
                [NOT_KEPT] => return Ok(Some(Last::NotKept)),
                _ => {}
            }
            let text = plain(&message);
            if self.is_ours(&text) && self.handshake.goes_on(&acknowledged(&text, 1)) {
                self.accepted = true;
                continue;
            }
            return Ok(Some(Last::Answer(text)));
        }
        if self.heard > MOST {
            let text = format!("the receiver said more than {MOST} bytes without an acknowledgement");
            return Err(Reason::new("bad-answer", text));
        }
        Ok(None)
    }

    /// The next whole message. One that begins anew before its end has lost its beginning; an end without a beginning is
    /// passed over.
    fn next(&mut self) -> Option<Vec<u8>> {
        loop {
            let end = self.rest.iter().position(|byte| *byte == END)?;
            let whole: Vec<u8> = self.rest.drain(..=end).collect();
            let inside = whole.get(..end).unwrap_or_default();
            if let Some(begin) = inside.iter().rposition(|byte| *byte == BEGIN) {
                return inside.get(begin + 1..).map(<[u8]>::to_vec);
            }
        }
    }

    /// Whether an acknowledgement is for this message (MSA-2).
    pub fn is_ours(&self, answer: &str) -> bool {
        acknowledged(answer, 2) == self.control
    }

    /// The receiver has committed the message, and the application has not answered yet.
    pub fn is_accepted(&self) -> bool {
        self.accepted
    }

    /// Whether a message has begun and not ended.
    pub fn has_begun(&self) -> bool {
        self.rest.contains(&BEGIN)
    }

    /// Whether nothing stands behind the last word: who goes on talking is not in step with us.
    pub fn is_over(&self) -> bool {
        self.rest.iter().all(|byte| byte.is_ascii_whitespace())
    }
}

/// What is said back to an answer that asks for it, framed.
pub fn commit(answer: &str) -> Option<Vec<u8>> {
    let message = Message::read(answer).filter(|message| wants_commit(&message.head(15)))?;
    Some(frame(message.commit().as_bytes()))
}

fn acknowledged(text: &str, field: usize) -> String {
    let path = Hl7Path { segment: "MSA".to_owned(), field, component: None };
    let found = Message::read(text).map(|message| message.find(&path)).unwrap_or_default();
    found.into_iter().next().unwrap_or_default()
}

/// As text: what is no UTF-8 is read byte by byte as ISO 8859-1, whatever MSH-18 says of it. Names of segments and codes are ASCII in
/// every character set of table 0211 that has a byte for each of them, and only they are judged.
fn plain(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().map(|byte| char::from(*byte)).collect(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn message(accept: &str, application: &str) -> Vec<u8> {
        format!("MSH|^~\\&|HMSSYNC|OF042|V|500|20260305||SIU^S12|K-1|P|2.5.1|||{accept}|{application}\rSCH|1\r")
            .into_bytes()
    }

    fn ack(code: &str, control: &str) -> Vec<u8> {
        frame(format!("MSH|^~\\&|V|500|HMSSYNC|OF042|20260305||ACK|9|P|2.5.1\rMSA|{code}|{control}\r").as_bytes())
    }

    /// The code of the last word.
    fn heard(dialogue: &mut Dialogue, bytes: &[u8]) -> Option<String> {
        match dialogue.hear(bytes).unwrap()? {
            Last::Answer(text) => Some(acknowledged(&text, 1)),
            Last::NotKept => Some("NAK".to_owned()),
        }
    }

    #[test]
    fn an_answer_is_read_however_its_bytes_come() {
        let noise = [b"\r\nhello\x1c\r".as_slice(), &ack("AA", "K-1"), b"\n"].concat();
        for cut in 0..=noise.len() {
            let mut dialogue = Dialogue::of(&message("", "")).unwrap();
            let (one, two) = noise.split_at(cut);
            let first = heard(&mut dialogue, one);
            let last = if first.is_some() { first } else { heard(&mut dialogue, two) };
            assert_eq!(last.as_deref(), Some("AA"), "cut at {cut}");
            assert!(dialogue.is_over());
        }
        let mut dialogue = Dialogue::of(&message("", "")).unwrap();
        assert_eq!(
            heard(&mut dialogue, &[b"\x0bMSH|^~\\&|lost".as_slice(), &ack("AE", "K-1")].concat()).as_deref(),
            Some("AE")
        );
        let mut dialogue = Dialogue::of(&message("", "")).unwrap();
        // The carriage return behind the end is left out by some.
        let bare = ack("AR", "K-1");
        assert_eq!(heard(&mut dialogue, bare.strip_suffix(b"\r").unwrap()).as_deref(), Some("AR"));
    }

    #[test]
    fn a_commit_is_followed_by_the_applications_word_where_it_is_asked_for() {
        let mut dialogue = Dialogue::of(&message("AL", "AL")).unwrap();
        assert_eq!(heard(&mut dialogue, &ack("CA", "K-1")), None);
        assert!(dialogue.is_accepted());
        assert_eq!(heard(&mut dialogue, &ack("AE", "K-1")).as_deref(), Some("AE"));
        let mut together = Dialogue::of(&message("AL", "AL")).unwrap();
        let both = [ack("CA", "K-1"), ack("AA", "K-1")].concat();
        assert_eq!(heard(&mut together, &both).as_deref(), Some("AA"));
        for (accept, application, code) in [("AL", "NE", "CA"), ("AL", "AL", "CE"), ("AL", "AL", "CR"), ("", "", "CA")]
        {
            let mut dialogue = Dialogue::of(&message(accept, application)).unwrap();
            assert_eq!(heard(&mut dialogue, &ack(code, "K-1")).as_deref(), Some(code), "{accept}|{application}");
        }
        let mut another = Dialogue::of(&message("AL", "AL")).unwrap();
        assert_eq!(heard(&mut another, &ack("CA", "K-0")).as_deref(), Some("CA"));
        assert!(!another.is_accepted());
    }

    #[test]
    fn who_goes_on_talking_is_not_in_step() {
        let mut dialogue = Dialogue::of(&message("", "")).unwrap();
        let both = [ack("AA", "K-1"), ack("AE", "K-1")].concat();
        assert_eq!(heard(&mut dialogue, &both).as_deref(), Some("AA"));
        assert!(!dialogue.is_over());
    }

    #[test]
    fn the_commits_of_release_2_are_understood() {
        let mut dialogue = Dialogue::of(&message("", "")).unwrap();
        assert_eq!(heard(&mut dialogue, &frame(&[KEPT])), None);
        assert_eq!(heard(&mut dialogue, &ack("AA", "K-1")).as_deref(), Some("AA"));
        let mut dialogue = Dialogue::of(&message("", "")).unwrap();
        assert_eq!(heard(&mut dialogue, &frame(&[NOT_KEPT])).as_deref(), Some("NAK"));
    }

    #[test]
    fn an_answer_in_another_character_set_is_judged_all_the_same() {
        let text = b"MSH|^~\\&|V|500|||||ACK|9|P|2.5.1||||||8859/1\rMSA|AE|K-1\rERR|||101^x|E||||Garc\xeda\r";
        let mut dialogue = Dialogue::of(&message("", "")).unwrap();
        let Some(Last::Answer(text)) = dialogue.hear(&frame(text)).unwrap() else { unreachable!() };
        assert!(dialogue.is_ours(&text) && text.contains("García"), "{text}");
    }

    #[test]
    fn what_never_ends_is_given_up() {
        let mut dialogue = Dialogue::of(&message("", "")).unwrap();
        assert_eq!(dialogue.hear(&[b' '; MOST]).unwrap(), None);
        assert_eq!(dialogue.hear(b"x").unwrap_err().class, "bad-answer");
        let mut long = Dialogue::of(&message("", "")).unwrap();
        assert!(long.hear(&[&[BEGIN], [b'x'; MOST].as_slice()].concat()).is_err());
    }

    #[test]
    fn what_cannot_be_sent_or_answered_is_refused_before_it_leaves() {
        let text = |text: &str| Dialogue::of(text.as_bytes()).unwrap_err().text.into_owned();
        assert!(text("PID|1\r").contains("does not begin with MSH"));
        assert!(text("MSH|^~\\&|A\rPID|\u{1c}\r").contains("0x1C"));
        assert!(text("MSH|^~\\&|A|||||||||P\r").contains("MSH-10"));
        assert!(text("MSH|^~\\&|A|||||||1|P\rMSH|^~\\&|A|||||||2|P\r").contains("several MSH"));
        assert!(text("MSH|^~\\&|A|||||||1|P|2.5.1|||NE|NE\r").contains("nobody would know"));
        assert!(Dialogue::of(b"\xff").is_err());
    }

    #[test]
    fn an_answer_that_asks_for_a_commit_gets_one() {
        assert_eq!(commit("MSH|^~\\&|V|500|||||ACK|9|P|2.5.1\rMSA|AA|K-1\r"), None);
        let said = commit("MSH|^~\\&|V|500|H|OF|2026||ACK|9|P|2.5.1|||AL|NE\rMSA|AA|K-1\r").unwrap();
        assert_eq!(said, frame(b"MSH|^~\\&|H|OF|V|500|2026||ACK|9-CA|P|2.5.1\rMSA|CA|9\r"));
    }
}
