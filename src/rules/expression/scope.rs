//! What an expression sees of a record that may leave, and what is known beside it.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use minijinja::Value as Jinja;
use minijinja::value::{Enumerator, Object, ObjectRepr, ValueKind};

use crate::event::{Record, Value};

/// The first name that was looked up and not there.
pub type Missing = Arc<OnceLock<String>>;

/// Names that mean the same in every expression of an adapter, whatever the fields are called.
pub const ROOTS: [(&str, &str); 12] = [
    ("record", "the whole record; `record['first name']` for a field whose name is no word"),
    ("event", "`id`, `seq`, `type`, `op`, `at`, `log`"),
    ("key", "the values of the record's key"),
    ("vars", "the adapter's variables"),
    ("link", "what earlier answers for this record left: `capture`"),
    ("steps", "what earlier steps captured: `steps.create.etag`"),
    ("parts", "the adapter's named parts"),
    ("items", "in a request of several records the place of their list: `items`, or `items.NAME`"),
    ("idempotency", "the idempotency key"),
    ("office", "the installation's name"),
    ("bidirectional", "whether the connector reads too (`strategy: bidirectional`)"),
    ("secret", "what a credential with `body` puts in: `secret.password`, in an XML body only"),
];

/// The name whose value leaves out what it stands in.
pub const OMIT: &str = "omit";

/// What expressions see. Fields of the record are names by themselves, unless a root has the same name.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// The record as it may leave.
    pub record: Record,
    /// The roots but `record`.
    pub roots: Record,
}

impl Scope {
    /// What a name means.
    fn get(&self, name: &str, missing: &Missing) -> Option<Jinja> {
        match name {
            OMIT => Some(Jinja::from_object(Omit)),
            "record" => Some(Jinja::from_object(Names {
                order: Some(self.record.clone()),
                ..Names::whole("record.", &self.record, missing)
            })),
            name => match self.roots.get(name) {
                Some(Value::Map(fields)) => Some(Jinja::from_object(Names {
                    path: format!("{name}."),
                    values: values(fields, missing),
                    missing: Arc::clone(missing),
                    order: None,
                })),
                Some(value) => Some(shown(value, missing)),
                None => self.record.get(name).map(|value| shown(value, missing)),
            },
        }
    }

    /// The names that an expression uses, as far as they are there.
    pub fn names(&self, used: &[String], missing: &Missing) -> Jinja {
        let values =
            used.iter().filter_map(|name| Some((Arc::from(name.as_str()), self.get(name, missing)?))).collect();
        Jinja::from_object(Names { path: String::new(), values, missing: Arc::clone(missing), order: None })
    }

    /// The value at a path of plain names, exactly as it is; none = there is none, or it needs evaluation.
    pub fn exact(&self, path: &[String]) -> Option<&Value> {
        let (first, rest) = path.split_first()?;
        let (mut value, rest) = match (first.as_str(), rest.split_first()) {
            ("record", Some((field, rest))) => (self.record.get(field)?, rest),
            (first, _) => (self.roots.get(first).or_else(|| self.record.get(first))?, rest),
        };
        for name in rest {
            let Value::Map(fields) = value else { return None };
            value = fields.get(name)?;
        }
        Some(value)
    }
}

/// Named values that remember a name which is missing.
#[derive(Debug)]
struct Names {
    path: String,
    values: BTreeMap<Arc<str>, Jinja>,
    missing: Missing,
    /// The record that they are, where its order counts.
    order: Option<Record>,
}

fn values(record: &Record, missing: &Missing) -> BTreeMap<Arc<str>, Jinja> {
    record.iter().map(|(name, value)| (Arc::clone(name), shown(value, missing))).collect()
}

impl Names {
    fn whole(path: &str, record: &Record, missing: &Missing) -> Names {
        Names { path: path.to_owned(), values: values(record, missing), missing: Arc::clone(missing), order: None }
    }
}

impl Object for Names {
    /// `x in record`: a question, not a use.
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

/// What stands in for nothing at all.
#[derive(Debug)]
struct Omit;

impl Object for Omit {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }
}

/// Whether a result says to leave out what it stands in.
pub fn is_omit(value: &Jinja) -> bool {
    value.downcast_object_ref::<Omit>().is_some()
}

/// Bytes, or text that is not UTF-8: something that is there, is not null, and equals nothing but itself.
#[derive(Debug)]
struct Opaque(Value);

impl Object for Opaque {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }
}

/// Digits that no number of the expression language holds; as text they are exact.
#[derive(Debug)]
struct Digits(Box<str>);

impl Object for Digits {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn render(self: &Arc<Self>, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// A value as an expression sees it: integers of 64 bits exactly.
pub fn shown(value: &Value, missing: &Missing) -> Jinja {
    match value {
        Value::Null => Jinja::from(()),
        Value::Bool(flag) => Jinja::from(*flag),
        Value::Integer(number) => Jinja::from(*number),
        Value::Real(number) => Jinja::from(*number),
        Value::Number(digits) => match digits.parse::<i128>() {
            Ok(number) => Jinja::from(number),
            Err(_) => Jinja::from_object(Digits(digits.clone())),
        },
        Value::Text(text) => Jinja::from(Arc::clone(text)),
        Value::BadText(_) | Value::Blob(_) => Jinja::from_object(Opaque(value.clone())),
        Value::List(items) => items.iter().map(|item| shown(item, missing)).collect(),
        Value::Map(fields) => Jinja::from_object(Names::whole("", fields, missing)),
    }
}

/// A record whose fields keep their order.
pub fn whole(record: Record) -> Jinja {
    Jinja::from_object(Kept(record))
}

/// A record that an expression has made.
#[derive(Debug)]
struct Kept(Record);

impl Object for Kept {
    fn get_value(self: &Arc<Self>, key: &Jinja) -> Option<Jinja> {
        self.0.get(key.as_str()?).map(|value| shown(value, &Arc::default()))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.0.iter().map(|(name, _)| Jinja::from(&**name)).collect())
    }
}

/// A result as a value; none = it is undefined, or nothing that a record can hold.
pub fn taken(value: &Jinja) -> Option<Value> {
    if let Some(Opaque(bytes)) = value.downcast_object_ref() {
        return Some(bytes.clone());
    }
    if let Some(record) = value.downcast_object_ref::<Names>().and_then(|names| names.order.as_ref()) {
        return Some(Value::Map(record.clone()));
    }
    if let Some(Kept(record)) = value.downcast_object_ref() {
        return Some(Value::Map(record.clone()));
    }
    if let Some(Digits(digits)) = value.downcast_object_ref() {
        return Some(Value::Number(digits.clone()));
    }
    Some(match value.kind() {
        ValueKind::None => Value::Null,
        ValueKind::Bool => Value::Bool(value.is_true()),
        ValueKind::String => Value::Text(value.as_str()?.into()),
        ValueKind::Bytes => Value::Blob(value.as_bytes()?.to_vec()),
        ValueKind::Number => match i64::try_from(value.clone()) {
            Ok(number) if value.is_integer() => Value::Integer(number),
            _ if value.is_integer() => Value::Number(value.to_string().into()),
            _ => Value::Real(f64::try_from(value.clone()).ok()?),
        },
        ValueKind::Seq | ValueKind::Iterable => {
            Value::List(value.try_iter().ok()?.map(|item| taken(&item)).collect::<Option<_>>()?)
        }
        ValueKind::Map => {
            let field = |name: Jinja| Some((Arc::<str>::from(name.as_str()?), taken(&value.get_item(&name).ok()?)?));
            Value::Map(value.try_iter().ok()?.map(field).collect::<Option<Record>>()?)
        }
        _ => return None,
    })
}
