//! The messages of an event source, as `docs/EVENTS.md` describes them: JSON, one event each.

use std::sync::Arc;

use crate::event::{Op, Record, Value};
use crate::format::json;
use crate::rules::listen::Listen;
use crate::rules::outcome::Reason;

/// Largest message that is taken, in bytes.
pub const LARGEST: usize = 1 << 20;

/// Longest event type and message id, in bytes.
const LONGEST_NAME: usize = 512;

/// Fields that hold a message's id, when the source's `id:` names none.
const IDS: [&str; 3] = ["id", "eventId", "messageId"];
/// The same in a bare payload, whose `id` is its record's.
const BARE_IDS: [&str; 2] = ["eventId", "messageId"];
/// Fields that hold a message's position.
const POSITIONS: [&str; 2] = ["position", "seq"];

/// How the messages of one source are read.
#[derive(Clone, Debug)]
pub struct Shape {
    /// What is asked for, as written.
    patterns: Vec<String>,
    /// One for each of these.
    hears: Vec<Listen>,
    id: Option<String>,
    key: Option<String>,
}

/// An event that a message brings.
#[derive(Clone, Debug, PartialEq)]
pub struct Said {
    /// Event type.
    pub kind: Arc<str>,
    /// What happened.
    pub payload: Record,
    /// What names its record, when `key:` does.
    pub lane_key: Option<String>,
    /// The message's id.
    pub id: Option<String>,
    /// Its position, and for which of the patterns it counts.
    pub position: Option<(String, Value)>,
}

/// What a message is.
#[derive(Clone, Debug, PartialEq)]
pub enum Heard {
    /// An event.
    Event(Box<Said>),
    /// The source's own words: it confirms, or complains with a code.
    Word,
    /// Nothing that can be used, and why; class and text hold no value of the message.
    Unusable(Reason),
}

/// A message that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// What it is.
    pub heard: Heard,
    /// The id that the source wants acknowledged.
    pub ack: Option<Value>,
    /// Where the source stands after it, when that is known although the message cannot be used.
    pub position: Option<(String, Value)>,
}

impl Shape {
    /// Of a source that is asked for these types (`*` globs allowed); `id` and `key` as configured.
    ///
    /// # Errors
    /// A pattern that cannot be one, named.
    pub fn new(patterns: &[String], id: Option<String>, key: Option<String>) -> Result<Shape, String> {
        let hears = patterns.iter().map(|one| Listen::parse(std::slice::from_ref(one))).collect::<Result<_, _>>()?;
        Ok(Shape { patterns: patterns.to_vec(), hears, id, key })
    }

    /// What is asked for.
    pub fn patterns(&self) -> &[String] {
        &self.patterns
    }

    /// The one type that a payload without a type is of.
    fn only(&self) -> Option<&str> {
        match &*self.patterns {
            [only] if !only.contains('*') => Some(only),
            _ => None,
        }
    }

    /// Reads a message.
    pub fn read(&self, text: &[u8]) -> Message {
        let unusable = |class: &'static str, text: String| Message {
            heard: Heard::Unusable(Reason::new(class, text)),
            ack: None,
            position: None,
        };
        if text.len() > LARGEST {
            return unusable("too-large", format!("{} bytes: at most {LARGEST} are taken", text.len()));
        }
        let fields = match json::decode(text) {
            Ok(Value::Map(fields)) => fields,
            Ok(other) => return unusable("not-an-object", format!("it is {}, not an object", other.kind())),
            Err(why) => return unusable("not-json", why),
        };
        let typed = matches!(fields.get("type"), Some(Value::Text(_)));
        if !typed && is_word(&fields) {
            return Message { heard: Heard::Word, ack: None, position: None };
        }
        self.event(fields, typed)
    }

    fn event(&self, mut fields: Record, typed: bool) -> Message {
        let wrapped = typed && fields.get("payload").is_some();
        let ids: &[&str] = if wrapped { &IDS } else { &BARE_IDS };
        let first = |fields: &Record, names: &[&str]| {
            names.iter().find_map(|name| fields.get(name).filter(|value| **value != Value::Null).cloned())
        };
        let id = match &self.id {
            Some(name) => first(&fields, &[name]),
            None => first(&fields, ids),
        };
        let ack = if matches!(fields.get("ack"), Some(Value::Bool(true))) { id.clone() } else { None };
        let kind: Result<Arc<str>, Reason> = match (fields.get("type"), self.only()) {
            (Some(Value::Text(kind)), _) => Ok(kind.clone()),
            (None | Some(_), Some(only)) if !wrapped => Ok(only.into()),
            _ => Err(Reason::new("no-type", "it has no `type`, and more than one type is asked for")),
        };
        let kind = match kind {
            // A payload may have a `type` of its own when only one event type can be meant.
            Ok(kind) if !wrapped && self.pattern(&kind).is_none() => {
                self.only().map_or(Ok(kind), |only| Ok(only.into()))
            }
            other => other,
        };
        let pattern = kind.as_ref().ok().and_then(|kind| self.pattern(kind)).map(str::to_owned);
        let place = if wrapped || typed { first(&fields, &POSITIONS) } else { first(&fields, &POSITIONS[..1]) };
        let position = pattern.clone().zip(place).filter(|(_, place)| is_name(place));
        let heard = kind.and_then(|kind| {
            if pattern.is_none() {
                return Err(Reason::new("type", "its type is none that is asked for"));
            }
            if kind.len() > LONGEST_NAME || kind.trim().is_empty() || kind.chars().any(char::is_control) {
                return Err(Reason::new("type", "its type is no name of an event type"));
            }
            let id = match &id {
                None => None,
                Some(value) if is_name(value) => value.as_text().map(String::from),
                Some(value) => {
                    let text = format!("its id is {}, or empty, or longer than {LONGEST_NAME} bytes", value.kind());
                    return Err(Reason::new("id", text));
                }
            };
            let payload = if wrapped {
                match fields.remove("payload") {
                    Some(Value::Map(payload)) => payload,
                    other => {
                        let kind = other.as_ref().map_or("nothing", Value::kind);
                        return Err(Reason::new("not-an-object", format!("its payload is {kind}, not an object")));
                    }
                }
            } else {
                fields
            };
            let lane_key = self.key.as_ref().and_then(|key| payload.get(key)?.as_text().map(String::from));
            Ok(Heard::Event(Box::new(Said { kind, payload, lane_key, id, position: position.clone() })))
        });
        Message { heard: heard.unwrap_or_else(Heard::Unusable), ack, position }
    }

    /// The first pattern that a type answers to.
    fn pattern(&self, kind: &str) -> Option<&str> {
        let at = self.hears.iter().position(|listen| listen.hears(kind, Op::Event))?;
        self.patterns.get(at).map(String::as_str)
    }
}

/// What names a message: text or a whole number, not too long.
fn is_name(value: &Value) -> bool {
    let fits = |text: &str| !text.is_empty() && text.len() <= LONGEST_NAME && !text.chars().any(char::is_control);
    match value {
        Value::Text(text) => fits(text),
        Value::Integer(_) => true,
        Value::Number(digits) => fits(digits),
        _ => false,
    }
}

/// `{"listening": …}`, `{"error": …, "code": …}` and the like: nothing beside these fields.
fn is_word(fields: &Record) -> bool {
    const WORDS: [&str; 6] = ["listening", "error", "code", "status", "message", "after"];
    let says = ["listening", "error"].iter().any(|word| fields.get(word).is_some());
    says && fields.iter().all(|(name, _)| WORDS.contains(&&**name))
}

/// `{"listen":TYPE}`, with `"after"` when a position is known.
pub fn listen(pattern: &str, after: Option<&Value>) -> String {
    let mut fields = Record::new();
    fields.push("listen", Value::from(pattern));
    if let Some(after) = after {
        fields.push("after", after.clone());
    }
    text(fields)
}

/// `{"ack":ID}`; `rejected` = the class of why it was not taken.
pub fn acknowledge(id: &Value, rejected: Option<&str>) -> String {
    let mut fields = Record::new();
    fields.push("ack", id.clone());
    if let Some(class) = rejected {
        fields.push("rejected", Value::from(class));
    }
    text(fields)
}

fn text(fields: Record) -> String {
    String::from_utf8_lossy(&json::value(&Value::Map(fields))).into_owned()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;

    fn shape(patterns: &[&str]) -> Shape {
        Shape::new(&patterns.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>(), None, None).unwrap()
    }

    fn said(shape: &Shape, text: &str) -> Said {
        match shape.read(text.as_bytes()).heard {
            Heard::Event(said) => *said,
            other => panic!("{text}: {other:?}"),
        }
    }

    fn refused(shape: &Shape, text: &str) -> Reason {
        match shape.read(text.as_bytes()).heard {
            Heard::Unusable(reason) => reason,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn a_message_names_its_type_id_and_position_around_the_payload() {
        let rules = shape(&["rule-changed", "visit-*"]);
        let one = said(&rules, r#"{"type":"rule-changed","id":"m1","seq":7,"payload":{"id":42,"position":"x"}}"#);
        assert_eq!((&*one.kind, one.id.as_deref()), ("rule-changed", Some("m1")));
        assert_eq!(one.payload.get("id"), Some(&Value::Integer(42)));
        assert_eq!(one.position, Some(("rule-changed".to_owned(), Value::Integer(7))));
        let two = said(&rules, r#"{"type":"visit-moved","messageId":5,"position":"0/16B3","payload":{}}"#);
        assert_eq!((two.id.as_deref(), two.position.unwrap().0), (Some("5"), "visit-*".to_owned()));
    }

    #[test]
    fn the_id_of_a_bare_payload_is_its_records_and_not_its_messages() {
        let rule = shape(&["rule-changed"]);
        let bare = said(&rule, r#"{"id":42,"seq":3,"duration":20}"#);
        assert_eq!((&*bare.kind, bare.id, bare.position), ("rule-changed", None, None));
        assert_eq!(said(&rule, r#"{"id":42,"eventId":"e1"}"#).id.as_deref(), Some("e1"));
        assert_eq!(said(&rule, r#"{"type":"rule-changed","ruleId":42}"#).payload.len(), 2);
        assert_eq!(&*said(&rule, r#"{"type":"weekly","ruleId":42}"#).kind, "rule-changed");
        assert_eq!(refused(&shape(&["a", "b"]), r#"{"ruleId":42}"#).class, "no-type");
    }

    #[test]
    fn the_sources_settings_say_where_id_and_key_stand() {
        let listen = ["rule-changed".to_owned()];
        let shape = Shape::new(&listen, Some("uuid".into()), Some("ruleId".into())).unwrap();
        let one = said(&shape, r#"{"type":"rule-changed","id":"x","uuid":"u1","payload":{"ruleId":42}}"#);
        assert_eq!((one.id.as_deref(), one.lane_key.as_deref()), (Some("u1"), Some("42")));
        assert_eq!(said(&shape, r#"{"type":"rule-changed","payload":{"id":1}}"#).lane_key, None);
    }

    #[test]
    fn what_cannot_be_used_is_refused_with_a_class_and_no_value_of_it() {
        let rules = shape(&["rule-changed"]);
        let deep = format!("{{\"a\":{}\"secret\"{}}}", "[".repeat(70), "]".repeat(70));
        let large = format!("{{\"a\":\"secret{}\"}}", "x".repeat(LARGEST));
        for (text, class) in [
            ("", "not-json"),
            ("secret", "not-json"),
            (&*deep, "not-json"),
            (&*large, "too-large"),
            ("[\"secret\"]", "not-an-object"),
            (r#"{"type":"rule-changed","payload":"secret"}"#, "not-an-object"),
            (r#"{"type":"secret","payload":{}}"#, "type"),
            (r#"{"type":"rule-changed","id":{"secret":1},"payload":{}}"#, "id"),
        ] {
            let reason = refused(&rules, text);
            assert_eq!(reason.class, class, "{text:.40}");
            assert!(!reason.text.contains("secret"), "{reason}");
        }
    }

    #[test]
    fn a_message_that_cannot_be_used_still_tells_what_to_acknowledge_and_where_the_source_stands() {
        let rules = shape(&["rule-changed"]);
        let read = rules.read(br#"{"type":"rule-changed","id":"m1","seq":7,"ack":true,"payload":[]}"#);
        assert!(matches!(read.heard, Heard::Unusable(_)), "{read:?}");
        assert_eq!(read.ack, Some(Value::from("m1")));
        assert_eq!(read.position, Some(("rule-changed".to_owned(), Value::Integer(7))));
    }

    #[test]
    fn a_confirmation_is_no_event() {
        let rules = shape(&["rule-changed"]);
        for word in [r#"{"listening":"rule-changed"}"#, r#"{"error":"who are you?","code":4403}"#] {
            assert_eq!(rules.read(word.as_bytes()).heard, Heard::Word, "{word}");
        }
        assert_eq!(said(&rules, r#"{"error":"x","ruleId":42}"#).payload.len(), 2);
    }

    #[test]
    fn what_is_sent_is_as_documented() {
        assert_eq!(listen("a", None), r#"{"listen":"a"}"#);
        assert_eq!(listen("a", Some(&Value::Integer(7))), r#"{"listen":"a","after":7}"#);
        assert_eq!(acknowledge(&Value::from("m1"), None), r#"{"ack":"m1"}"#);
        assert_eq!(acknowledge(&Value::Integer(1), Some("id")), r#"{"ack":1,"rejected":"id"}"#);
    }
}
