//! What an expression sees of an event.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use minijinja::value::{Enumerator, Object, ObjectRepr};

use crate::event::{Event, Record, Value};
use crate::rules::mapping;

type Jinja = minijinja::Value;

/// The first name that was looked up and not there.
pub type Missing = Arc<OnceLock<String>>;

/// Named values that remember a name which is missing.
#[derive(Debug)]
pub struct Names {
    path: &'static str,
    values: BTreeMap<Arc<str>, Jinja>,
    missing: Missing,
}

impl Names {
    /// The names that an expression uses, as far as the event has them: only those are converted.
    pub fn of(event: &Event, image: &Record, key: &Record, names: &[String], missing: &Missing) -> Names {
        let part = |path, record: &Record| Jinja::from_object(Names::whole(path, record, missing));
        let value = |name: &str| match name {
            "event" => {
                let known = ["id", "log", "seq", "type", "op", "at", "origin"].into_iter().filter_map(|name| {
                    let value = mapping::lookup(event, &format!("$event.{name}"))?;
                    Some((Arc::from(name), convert(&value, missing)))
                });
                let values = known.collect();
                Some(Jinja::from_object(Names { path: "event.", values, missing: Arc::clone(missing) }))
            }
            "key" => Some(part("key.", key)),
            "before" => Some(event.before.as_ref().map_or_else(|| Jinja::from(()), |image| part("before.", image))),
            // The image that is judged; a delete has none after it.
            "after" if event.op == crate::event::Op::Delete => Some(Jinja::from(())),
            "after" => Some(part("after.", image)),
            "changed" => Some(event.changed.iter().map(|column| Jinja::from(&**column)).collect()),
            "op" => Some(Jinja::from(event.op.as_str())),
            "type" => Some(Jinja::from(&*event.kind)),
            column => image.get(column).map(|value| convert(value, missing)),
        };
        let values = names.iter().filter_map(|name| Some((Arc::from(name.as_str()), value(name)?))).collect();
        Names { path: "", values, missing: Arc::clone(missing) }
    }

    fn whole(path: &'static str, record: &Record, missing: &Missing) -> Names {
        let values = record.iter().map(|(name, value)| (Arc::clone(name), convert(value, missing))).collect();
        Names { path, values, missing: Arc::clone(missing) }
    }
}

impl Object for Names {
    /// `x in after`: a question, not a use.
    fn get_value(self: &Arc<Self>, key: &Jinja) -> Option<Jinja> {
        self.values.get(key.as_str()?).cloned()
    }

    fn get_value_by_str(self: &Arc<Self>, name: &str) -> Option<Jinja> {
        let found = self.values.get(name).cloned();
        if found.is_none() {
            self.missing.get_or_init(|| format!("{}{name}", self.path));
        }
        found
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.values.keys().map(|name| Jinja::from(&**name)).collect())
    }
}

/// A value as an expression sees it: integers of 64 bits exactly, bytes and text that is not UTF-8 as something that
/// is there, is not null, and equals nothing but itself.
fn convert(value: &Value, missing: &Missing) -> Jinja {
    match value {
        Value::Null => Jinja::from(()),
        Value::Bool(flag) => Jinja::from(*flag),
        Value::Integer(number) => Jinja::from(*number),
        Value::Real(number) => Jinja::from(*number),
        Value::Number(digits) => match digits.parse::<i128>() {
            Ok(number) => Jinja::from(number),
            Err(_) => Jinja::from(digits.parse::<f64>().unwrap_or(f64::NAN)),
        },
        Value::Text(text) => Jinja::from(Arc::clone(text)),
        Value::BadText(_) | Value::Blob(_) => Jinja::from_object(Opaque),
        Value::List(items) => items.iter().map(|item| convert(item, missing)).collect(),
        Value::Map(fields) => Jinja::from_object(Names::whole("", fields, missing)),
    }
}

/// Bytes.
#[derive(Debug)]
struct Opaque;

impl Object for Opaque {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }
}

/// Gives every name the same value, to try an expression out.
#[derive(Clone, Copy, Debug)]
pub enum Probe {
    Text,
    Number,
    Zero,
    Null,
    Inside,
}

impl Probe {
    pub const ALL: [Probe; 5] = [Probe::Text, Probe::Number, Probe::Zero, Probe::Null, Probe::Inside];
}

impl Object for Probe {
    fn get_value(self: &Arc<Self>, _: &Jinja) -> Option<Jinja> {
        Some(match **self {
            Probe::Text => Jinja::from("x"),
            Probe::Number => Jinja::from(1),
            Probe::Zero => Jinja::from(0),
            Probe::Null => Jinja::from(()),
            Probe::Inside => Jinja::from_object(Probe::Text),
        })
    }
}
