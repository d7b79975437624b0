//! Reading HL7 v2 messages (HL7 v2.5.1 chapter 2, ER7 encoding), as far as acknowledgements need it.

use crate::rules::verdict::Hl7Path;

/// Most segments that are read.
const SEGMENTS: usize = 1_000;

/// A message in its parts.
#[derive(Debug)]
pub struct Message<'t> {
    segments: Vec<Vec<&'t str>>,
    field: char,
    component: char,
    repetition: char,
    escape: char,
}

impl<'t> Message<'t> {
    /// Reads a message; none = the text does not begin with `MSH` and its delimiters. Segments end with a carriage
    /// return; a line feed, with or without it, is taken too.
    pub fn read(text: &'t str) -> Option<Message<'t>> {
        let text = text.trim_start_matches(['\u{b}', '\r', '\n', ' ', '\u{feff}']);
        let mut signs = text.strip_prefix("MSH")?.chars();
        let field = signs.next().filter(char::is_ascii_punctuation)?;
        let (component, repetition, escape) = (signs.next()?, signs.next()?, signs.next()?);
        let lines = text.split(['\r', '\n']).filter(|line| !line.trim().is_empty()).take(SEGMENTS);
        let segments = lines.map(|line| line.split(field).collect()).collect();
        Some(Message { segments, field, component, repetition, escape })
    }

    /// The values of a field in every segment of that name, in order, its repetitions apart; empty ones are left out.
    /// `MSH-1` is the delimiter itself and is not read.
    pub fn find(&self, path: &Hl7Path) -> Vec<String> {
        let mut found = Vec::new();
        for segment in &self.segments {
            let name = segment.first().copied().unwrap_or_default();
            if name != path.segment {
                continue;
            }
            // The delimiter behind `MSH` is its first field.
            let at = if name == "MSH" { path.field.saturating_sub(1) } else { path.field };
            let Some(field) = segment.get(at).filter(|_| at > 0) else { continue };
            let whole = name == "MSH" && path.field == 2;
            let repetitions: Vec<&str> = if whole { vec![field] } else { field.split(self.repetition).collect() };
            for repetition in repetitions {
                let part = match path.component {
                    Some(number) => repetition.split(self.component).nth(number - 1).unwrap_or_default(),
                    None => repetition,
                };
                if !part.is_empty() {
                    found.push(self.plain(part));
                }
            }
        }
        found
    }

    /// The first value of a field of the first `MSH`, by its number; empty when there is none.
    pub fn head(&self, number: usize) -> String {
        let path = Hl7Path { segment: "MSH".to_owned(), field: number, component: None };
        self.find(&path).into_iter().next().unwrap_or_default()
    }

    /// How many messages the text holds.
    pub fn count(&self) -> usize {
        self.segments.iter().filter(|segment| segment.first() == Some(&"MSH")).count()
    }

    /// The commit of this message, for whoever sent it: an `ACK` with `CA`, addressed back and with its own time.
    pub fn commit(&self) -> String {
        let own = |number: usize| {
            let head = self.segments.iter().find(|segment| segment.first() == Some(&"MSH"));
            head.and_then(|head| head.get(number - 1)).copied().unwrap_or_default()
        };
        let number = own(10);
        let control = format!("{number}-CA");
        let head = ["MSH", own(2), own(5), own(6), own(3), own(4), own(7), "", "ACK", &control, own(11), own(12)]
            .map(str::to_owned);
        let field = self.field.to_string();
        format!("{}\rMSA{field}CA{field}{number}\r", head.join(&field))
    }

    /// The text without its escapes.
    fn plain(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once(self.escape) {
            out.push_str(before);
            let Some((code, after)) = after.split_once(self.escape) else {
                out.push(self.escape);
                rest = after;
                continue;
            };
            match code {
                "F" => out.push('|'),
                "S" => out.push(self.component),
                "R" => out.push(self.repetition),
                "E" => out.push(self.escape),
                "T" => out.push('&'),
                ".br" => out.push('\n'),
                _ => {}
            }
            rest = after;
        }
        out.push_str(rest);
        out
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const ACK: &str = "MSH|^~\\&|IIS|ST|HMSSYNC|OF042|20260305||ACK^V04^ACK|9|P|2.5.1\rMSA|AE|OF042-4711\r\
        ERR||PID^1^5|101^Required field missing^HL70357|W||||a \\T\\ b\rERR|||207^x|E~I\r";

    fn find(path: &str) -> Vec<String> {
        Message::read(ACK).unwrap().find(&Hl7Path::parse(path).unwrap())
    }

    #[test]
    fn fields_are_found_in_every_segment() {
        assert_eq!(find("MSA-1"), ["AE"]);
        assert_eq!(find("MSA-2"), ["OF042-4711"]);
        assert_eq!(find("ERR-3.1"), ["101", "207"]);
        assert_eq!(find("ERR-4"), ["W", "E", "I"]);
        assert_eq!(find("ERR-8"), ["a & b"]);
        assert_eq!(find("MSH-9.1"), ["ACK"]);
        assert_eq!(find("MSH-10"), ["9"]);
        assert_eq!(find("MSH-2"), ["^~\\&"]);
        assert!(find("ZZZ-1").is_empty() && find("MSA-9").is_empty());
    }

    #[test]
    fn a_message_is_committed_back_to_its_sender() {
        let message = Message::read(ACK).unwrap();
        assert_eq!((message.head(10), message.head(15), message.count()), ("9".to_owned(), String::new(), 1));
        let commit = "MSH|^~\\&|HMSSYNC|OF042|IIS|ST|20260305||ACK|9-CA|P|2.5.1\rMSA|CA|9\r";
        assert_eq!(message.commit(), commit);
        let other = Message::read("MSH#*~\\&#A*1#B#C#D#2026##ADT*A01#7#T#2.3").unwrap();
        assert_eq!(other.commit(), "MSH#*~\\&#C#D#A*1#B#2026##ACK#7-CA#T#2.3\rMSA#CA#7\r");
    }

    #[test]
    fn what_is_no_message_is_none() {
        for bad in ["", "hello", "MSH", "MSHabc", "<xml/>", "PID|1"] {
            assert!(Message::read(bad).is_none(), "{bad}");
        }
        assert!(Message::read("\u{b}MSH|^~\\&|A\nMSA|AA|1\n").is_some());
    }
}
