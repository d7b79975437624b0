//! What was sent and may be seen again as a change of the other side.

use std::sync::Arc;

use rusqlite::{Connection, params};

use super::super::conflict::{self, Subject};
use super::super::{ConnectorId, Sql};
use super::base::{self, Base, Both};
use super::{change, lately};
use crate::clock::Timestamp;
use crate::event::{Record, Value};
use crate::rules::conflict::same::fingerprint;
use crate::rules::conflict::{Dispute, Held, Stand, Unit, Why};
use crate::store::image;

/// A record that is about to be sent to a connector that is read too.
#[derive(Clone, Debug, PartialEq)]
pub struct Sent {
    /// Its type.
    pub kind: String,
    /// Its key as JSON.
    pub key: String,
    /// The change that is sent.
    pub seq: i64,
    /// The shared columns as they are sent; none = it is deleted.
    pub local: Option<Record>,
    /// Its version there, once an answer has told.
    pub version: Option<String>,
}

/// It is about to leave.
pub fn leaves(db: &Connection, of: ConnectorId, sent: &Sent, now: Timestamp) -> Sql<()> {
    let Some(local) = &sent.local else { return Ok(()) };
    db.prepare_cached(
        "INSERT OR REPLACE INTO pull_sent(connector, kind, key, seq, at, local) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute(params![of.0, sent.kind, sent.key, sent.seq, now.0, image::encode_record(local)])
    .map(drop)
}

/// What was sent of a record and not seen again yet, newest first.
pub fn of(db: &Connection, of: ConnectorId, kind: &str, key: &str) -> Sql<Vec<(i64, Record)>> {
    let sql = "SELECT seq, local FROM pull_sent WHERE connector = ?1 AND kind = ?2 AND key = ?3 ORDER BY seq DESC";
    let rows = db
        .prepare_cached(sql)?
        .query_map(params![of.0, kind, key], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?)))?
        .collect::<Sql<Vec<_>>>()?;
    Ok(rows.into_iter().filter_map(|(seq, bytes)| Some((seq, image::decode_record(&bytes).ok()?))).collect())
}

/// It was seen again, or is agreed on: what was sent up to there is not looked for any more.
pub fn seen(db: &Connection, of: ConnectorId, kind: &str, key: &str, upto: i64) -> Sql<()> {
    let sql = "DELETE FROM pull_sent WHERE connector = ?1 AND kind = ?2 AND key = ?3 AND seq <= ?4";
    db.prepare_cached(sql)?.execute(params![of.0, kind, key, upto]).map(drop)
}

/// The other side has taken it: both sides agree on it.
pub fn arrived(db: &Connection, of: ConnectorId, sent: &Sent, now: Timestamp) -> Sql<()> {
    let Sent { kind, key, seq, local, version } = sent;
    let known = base::get(db, of, kind, key)?.unwrap_or_default();
    if known.seq > *seq {
        return Ok(());
    }
    // The same again may have been stored in a form of its own before.
    let held = local.clone().map(|local| match known.held {
        Some(held) if held.local == local => held,
        _ => Both { there: local.clone(), local },
    });
    let version = version.clone().or(known.version.filter(|_| local.is_some()));
    let base = Base { remote: known.remote, version, updated: known.updated, seq: *seq, at: now, held };
    lately::crossed(db, of, (kind, key), local.as_ref(), now)?;
    base::set(db, of, kind, key, &base)?;
    lately::arrived(db, of, kind, key, *seq)?;
    change::agreed(db, of, kind, key, *seq)?;
    seen(db, of, kind, key, *seq)
}

/// It does not leave, because the record's contents cross again and again: a person decides about it, with what is known of both sides.
pub fn goes_round(db: &Connection, of: ConnectorId, table: &str, sent: &Sent, now: Timestamp) -> Sql<()> {
    let held = base::get(db, of, &sent.kind, &sent.key)?.and_then(|base| base.held);
    let there = held.as_ref().map(|held| &held.there);
    let fields: Vec<Arc<str>> =
        sent.local.as_ref().or(there).into_iter().flat_map(Record::iter).map(|(name, _)| name.clone()).collect();
    let only = |image: &Record| -> Record {
        fields.iter().map(|field| (field.clone(), image.get(field).cloned().unwrap_or(Value::Null))).collect()
    };
    let stand = |image: Option<&Record>| Stand {
        values: image.map(only),
        first: None,
        last: None,
        by_record: false,
        seen: fingerprint(image, &fields),
    };
    let dispute = Dispute {
        unit: Unit::Record,
        fields: fields.clone(),
        base: held.as_ref().map(|held| only(&held.local)),
        local: stand(sent.local.as_ref()),
        remote: stand(there),
    };
    let subject = Subject { connector: of, table, kind: &sent.kind, key: &sent.key };
    conflict::hold(db, &subject, &Held { dispute, why: Why::Loop }, &[], now).map(drop)
}
