//! What a person decides about a conflict.

use super::{Actor, Refused, Report, note};
use crate::clock::{self, Timestamp};
use crate::engine::conflict::fields;
use crate::event::{Record, Value};
use crate::format::json;
use crate::rules::conflict::{Take, Unit};
use crate::store::state::conflict::{self, Decision, Entry, Taken};
use crate::store::state::{Db, Sql, connector};

/// Keeps the decision; the connector's worker carries it out.
pub(super) fn resolve(db: &Db, id: i64, take: &str, seen: Option<&str>, actor: &Actor, report: &mut Report) -> Sql<()> {
    let subject = format!("conflict {id}");
    let refuse = |report: &mut Report, why: String| report.refused.push(Refused { subject: subject.clone(), why });
    let Some(entry) = conflict::find(db, id)? else {
        refuse(report, "there is none of this number: `hms-sync conflicts list` shows those that wait".to_owned());
        return Ok(());
    };
    let take = match understood(&entry, take) {
        Ok(take) => take,
        Err(why) => {
            refuse(report, why);
            return Ok(());
        }
    };
    let seen = match seen.map(str::parse::<jiff::Timestamp>).transpose() {
        Ok(seen) => seen.map(Timestamp::from_jiff),
        Err(_) => {
            refuse(report, "`seen` is no time like 2026-03-05T18:05:00.123Z".to_owned());
            return Ok(());
        }
    };
    let decision = Decision { take: &take, who: &actor.name, why: actor.reason.as_deref(), seen };
    match conflict::resolve(db, id, &decision, clock::now())? {
        Taken::Stands => {
            if let Some(known) = connector::find(db, &entry.connector)? {
                note(db, actor, "resolve", known.id, &subject)?;
            }
            report.done.push(format!("{} {subject}", entry.connector));
        }
        Taken::Absent => refuse(report, "is not there any more".to_owned()),
        Taken::Over(state) => refuse(report, format!("is {}: nothing is to be decided", state.as_str())),
        Taken::Stale => {
            refuse(report, "one side has changed since you looked: look again, and decide then".to_owned());
        }
    }
    Ok(())
}

/// `local`, `remote`, or the values as JSON: of a field the value alone, of a group an object with all its fields, of a whole
/// record one with those that are not to be as the side has them that still has the record.
fn understood(entry: &Entry, take: &str) -> Result<Take, String> {
    match take {
        "local" => return Ok(Take::Local),
        "remote" => return Ok(Take::Remote),
        _ => {}
    }
    let value = json::decode(take.as_bytes())
        .map_err(|why| format!("take `local`, `remote`, or a value as JSON (a text in double quotes): {why}"))?;
    let fields = fields(entry);
    let grouped = fields.len() != 1 || *entry.unit != *fields.concat();
    let given = match value {
        Value::Map(given) if grouped => given,
        _ if grouped => {
            let names = fields.join(", ");
            return Err(format!("is about several fields: give an object with {names}"));
        }
        value => fields.iter().map(|field| (field.as_str(), value.clone())).collect(),
    };
    let unknown = given.iter().find(|(name, _)| !fields.iter().any(|field| *field == ***name));
    if let Some((name, _)) = unknown {
        return Err(format!("is not about a field `{name}`: its fields are {}", fields.join(", ")));
    }
    if entry.unit != Unit::WHOLE
        && let Some(missing) = fields.iter().find(|field| given.get(field).is_none())
    {
        return Err(format!("is decided as a whole: `{missing}` is missing"));
    }
    // A column holds single values, and SQLite has no true and false.
    let column = |(name, value)| match value {
        Value::Bool(flag) => Ok((name, Value::Integer(i64::from(flag)))),
        Value::Number(_) | Value::List(_) | Value::Map(_) => Err(format!("`{name}`: no column can hold this value")),
        value => Ok((name, value)),
    };
    Ok(Take::Values(given.into_iter().map(column).collect::<Result<Record, String>>()?))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::rules::conflict::Stand;
    use crate::store::state::conflict::State;

    fn entry(unit: &str, fields: &[&str]) -> Entry {
        let values: Record = fields.iter().map(|field| (*field, Value::from("x"))).collect();
        let stand = Stand { values: Some(values), first: None, last: None, by_record: false, seen: [0; 32] };
        Entry {
            id: 7,
            connector: "lotus".to_owned(),
            table: "t".to_owned(),
            kind: "t".to_owned(),
            key: "{}".to_owned(),
            unit: unit.to_owned(),
            state: State::Open,
            rule: "none".to_owned(),
            winner: None,
            reason: String::new(),
            since: Timestamp(0),
            at: Timestamp(0),
            base: None,
            local: stand.clone(),
            remote: stand,
            take: None,
            value: None,
            who: None,
            why: None,
            resolved: None,
        }
    }

    #[test]
    fn a_value_is_understood_for_what_the_conflict_is_about() {
        let of = |unit, fields: &[&str], take| understood(&entry(unit, fields), take);
        let values = |fields: &[(&str, Value)]| Ok(Take::Values(fields.iter().cloned().collect()));
        assert_eq!(of("start", &["start"], "local"), Ok(Take::Local));
        assert_eq!(of("start", &["start"], "remote"), Ok(Take::Remote));
        assert_eq!(of("start", &["start"], "\"local\""), values(&[("start", "local".into())]));
        assert_eq!(of("n", &["n"], "9007199254740993"), values(&[("n", Value::Integer(9_007_199_254_740_993))]));
        assert_eq!(of("n", &["n"], "true"), values(&[("n", Value::Integer(1))]));
        assert_eq!(of("n", &["n"], "null"), values(&[("n", Value::Null)]));
        let slot = "{\"start\": \"10:00\", \"end\": null}";
        assert_eq!(of("slot", &["start", "end"], slot), values(&[("start", "10:00".into()), ("end", Value::Null)]));
        assert_eq!(of("slot", &["start"], "{\"start\": 1}"), values(&[("start", Value::Integer(1))]));
        assert_eq!(of("*", &["start", "end"], "{\"end\": 1}"), values(&[("end", Value::Integer(1))]));
        for (unit, fields, bad) in [
            ("start", &["start"][..], "locl"),
            ("start", &["start"], ""),
            ("start", &["start"], "{\"start\": 1}"),
            ("start", &["start"], "[1]"),
            ("slot", &["start", "end"], "1"),
            ("slot", &["start", "end"], "{\"start\": 1}"),
            ("slot", &["start", "end"], "{\"start\": 1, \"end\": 2, \"room\": 3}"),
            ("*", &["start"], "{\"room\": 3}"),
        ] {
            assert!(of(unit, fields, bad).is_err(), "{unit} {bad}");
        }
    }
}
