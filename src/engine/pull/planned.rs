//! The plan of a page: what is to be done for each of its items, as bytes and back.

use std::sync::Arc;

use super::{Mapped, PullError};
use crate::event::{Record, Value};
use crate::rules::outcome::Reason;
use crate::store::capture::{Act, Change};
use crate::store::image::{self, Piece};

/// What is to be done for one item.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Planned {
    /// The item.
    pub mapped: Mapped,
    /// What becomes of the row.
    pub change: Change,
    /// The base afterwards; none = it stays.
    pub agree: Option<Agree>,
    /// Why a person must decide about part of it.
    pub held: Option<Reason>,
    /// What a person has decided, and this carries out: the units, and whose values they get.
    pub decided: Vec<(String, String)>,
    /// The end of the log when it was decided.
    pub seq: i64,
}

/// What both sides agree on afterwards.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Agree {
    /// Fields of which the application's part is what the row holds then.
    pub fresh: Vec<Arc<str>>,
    /// Fields of which it is this.
    pub local: Record,
    /// What the other side holds, in our names.
    pub there: Record,
    /// Neither side has it.
    pub gone: bool,
    /// All of it is agreed on; else the rest as far as it was.
    pub whole: bool,
    /// The change of ours up to which they agree, where it is not the newest.
    pub upto: Option<i64>,
}

/// The plan as bytes.
pub(super) fn encode(plan: &[Planned], cursor: Option<&str>) -> Vec<u8> {
    let mut pieces = Vec::with_capacity(2);
    pieces.extend(cursor.map(|cursor| ("c", Piece::Text(cursor))));
    pieces.push(("p", Piece::Each(plan.iter().map(|planned| Piece::Pieces(one(planned))).collect())));
    image::encode_pieces(&pieces)
}

/// The plan of bytes, and the cursor.
pub(super) fn decode(bytes: &[u8]) -> Result<(Vec<Planned>, Option<String>), PullError> {
    let record = image::decode_record(bytes).map_err(|_| PullError::Plan)?;
    let cursor = record.get("c").and_then(Value::as_text).map(|text| text.into_owned());
    let Some(Value::List(items)) = record.get("p") else { return Err(PullError::Plan) };
    let items = items.iter().map(|item| match item {
        Value::Map(item) => Ok(back(item)),
        _ => Err(PullError::Plan),
    });
    Ok((items.collect::<Result<_, _>>()?, cursor))
}

fn one(planned: &Planned) -> Vec<(&str, Piece<'_>)> {
    let change = &planned.change;
    let mut pieces = Vec::with_capacity(10);
    pieces.push(("m", Piece::Pieces(planned.mapped.pieces())));
    pieces.push(("k", Piece::List(&change.key)));
    pieces.extend(change.expect.as_ref().map(|expect| ("e", Piece::Map(expect))));
    match &change.act {
        Act::Put(values) => pieces.push(("w", Piece::Map(values))),
        Act::Delete => pieces.push(("x", Piece::Null)),
        Act::Keep => {}
    }
    pieces.push(("t", Piece::Bool(change.tell)));
    pieces.push(("g", Piece::Bool(change.guarded)));
    if let Some(agree) = &planned.agree {
        let fields = vec![
            ("f", Piece::Each(agree.fresh.iter().map(|name| Piece::Text(name)).collect())),
            ("l", Piece::Map(&agree.local)),
            ("t", Piece::Map(&agree.there)),
            ("g", Piece::Bool(agree.gone)),
            ("w", Piece::Bool(agree.whole)),
            ("u", agree.upto.map_or(Piece::Null, Piece::Integer)),
        ];
        pieces.push(("a", Piece::Pieces(fields)));
    }
    if let Some(held) = &planned.held {
        pieces.push(("h", Piece::Each(vec![Piece::Text(&held.class), Piece::Text(&held.text)])));
    }
    if !planned.decided.is_empty() {
        let decided = planned.decided.iter().map(|(unit, winner)| (unit.as_str(), Piece::Text(winner)));
        pieces.push(("d", Piece::Pieces(decided.collect())));
    }
    pieces.push(("s", Piece::Integer(planned.seq)));
    pieces
}

fn back(record: &Record) -> Planned {
    let map = |record: &Record, name: &str| match record.get(name) {
        Some(Value::Map(map)) => Some(map.clone()),
        _ => None,
    };
    let list = |record: &Record, name: &str| match record.get(name) {
        Some(Value::List(list)) => list.clone(),
        _ => Vec::new(),
    };
    let texts = |values: Vec<Value>| -> Vec<String> {
        values.iter().filter_map(|value| Some(value.as_text()?.into_owned())).collect()
    };
    let is = |record: &Record, name: &str| record.get(name) == Some(&Value::Bool(true));
    let act = match (map(record, "w"), record.get("x")) {
        (Some(values), _) => Act::Put(values),
        (None, Some(_)) => Act::Delete,
        (None, None) => Act::Keep,
    };
    let agree = map(record, "a").map(|agree| Agree {
        fresh: texts(list(&agree, "f")).into_iter().map(Arc::from).collect(),
        local: map(&agree, "l").unwrap_or_default(),
        there: map(&agree, "t").unwrap_or_default(),
        gone: is(&agree, "g"),
        whole: is(&agree, "w"),
        upto: match agree.get("u") {
            Some(Value::Integer(seq)) => Some(*seq),
            _ => None,
        },
    });
    let held = match &*texts(list(record, "h")) {
        [class, text] => Some(Reason::new(class.clone(), text.clone())),
        _ => None,
    };
    Planned {
        mapped: Mapped::of_record(&map(record, "m").unwrap_or_default()),
        change: Change {
            key: list(record, "k"),
            expect: map(record, "e"),
            act,
            tell: is(record, "t"),
            guarded: is(record, "g"),
        },
        agree,
        held,
        decided: map(record, "d")
            .unwrap_or_default()
            .iter()
            .filter_map(|(unit, winner)| Some((unit.to_string(), winner.as_text()?.into_owned())))
            .collect(),
        seq: match record.get("s") {
            Some(Value::Integer(seq)) => *seq,
            _ => 0,
        },
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;

    #[test]
    fn a_plan_reads_back_as_it_was_written_down() {
        let fields: Record =
            [("name", Value::from("a")), ("raw", Value::Blob(vec![0, 255])), ("n", Value::Null)].into_iter().collect();
        let mapped = Mapped {
            key: Some(vec![Value::Integer(5)]),
            remote: Some("r5".to_owned()),
            fields: fields.clone(),
            deleted: false,
            version: Some("3".to_owned()),
            updated: Some(Timestamp(7)),
            links: vec![("id".to_owned(), "r5".to_owned())],
        };
        let agree = Agree {
            fresh: vec!["n".into()],
            local: fields.clone(),
            there: fields.clone(),
            gone: false,
            whole: true,
            upto: Some(9),
        };
        let plan = vec![
            Planned {
                mapped: mapped.clone(),
                change: Change {
                    key: vec![Value::Integer(5)],
                    expect: Some(fields.clone()),
                    act: Act::Put(fields),
                    tell: true,
                    guarded: true,
                },
                agree: Some(agree),
                held: Some(Reason::new("conflict", "why")),
                decided: vec![("start".to_owned(), "local".to_owned())],
                seq: 12,
            },
            Planned {
                mapped: Mapped { deleted: true, ..Mapped::default() },
                change: Change { key: Vec::new(), expect: None, act: Act::Delete, tell: false, guarded: false },
                agree: None,
                held: None,
                decided: Vec::new(),
                seq: 0,
            },
        ];
        assert_eq!(decode(&encode(&plan, Some("c7"))).unwrap(), (plan, Some("c7".to_owned())));
        assert!(decode(b"nonsense").is_err());
    }
}
