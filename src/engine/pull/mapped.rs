//! An item of a page in the application's names.

use std::collections::HashSet;
use std::sync::Arc;

use aws_lc_rs::digest;

use super::{Inlet, Site};
use crate::adapter::pull::Item;
use crate::clock::Timestamp;
use crate::event::{Record, Value};
use crate::rules::hex::hex;
use crate::rules::outcome::Reason;
use crate::store::image::{self, Piece, Unreadable};

/// An item, mapped back and fitted to the table's columns.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mapped {
    /// Its key; none = it has none that we know.
    pub key: Option<Vec<Value>>,
    /// What the other side calls it.
    pub remote: Option<String>,
    /// The shared columns that it has, without those of the key; of a deleted one none.
    pub fields: Record,
    /// It is deleted there.
    pub deleted: bool,
    /// Its version there.
    pub version: Option<String>,
    /// When it was changed there, by the clock there.
    pub updated: Option<Timestamp>,
    /// What is remembered of it for later requests.
    pub links: Vec<(String, String)>,
}

/// Maps an item back.
///
/// # Errors
/// The reason why it cannot come in: mapping, gate, or a value that a column does not take. No value in it.
pub(super) fn mapped(inlet: &Inlet, site: &Site, item: &Item) -> Result<Mapped, Reason> {
    let row = inlet.back.apply(&item.body);
    let row = match (row, item.deleted) {
        (Ok(row), _) => row,
        // Of a deleted one there may be no more than its name.
        (Err(_), true) => Record::new(),
        (Err(reason), false) => return Err(reason),
    };
    inlet.gate.admit(&site.kind, &row)?;
    let fitted = site.fitting.record(&row)?;
    let key = site.fitting.key_of(&fitted);
    let has = |name: &&Arc<str>| fitted.get(name).is_some();
    let fields =
        site.columns.iter().filter(has).map(|name| (name.clone(), fitted.get(name).cloned().unwrap_or(Value::Null)));
    Ok(Mapped {
        key,
        remote: item.id.clone(),
        fields: if item.deleted { Record::new() } else { fields.collect() },
        deleted: item.deleted,
        version: item.version.clone(),
        updated: item.updated,
        links: item.links.clone(),
    })
}

/// What names an item that cannot come in: its key if that much of it is sound, what the other side calls it, or its hash.
pub(super) fn name_of(inlet: &Inlet, site: &Site, item: &Item) -> String {
    let key = inlet.back.apply(&item.body).ok().and_then(|row| {
        let of_key = row.iter().filter(|(name, _)| site.fitting.key().contains(name));
        let key: Record = of_key.map(|(name, value)| (name.clone(), value.clone())).collect();
        site.fitting.key_of(&site.fitting.record(&key).ok()?)
    });
    key.map(|key| site.identity(&key)).or_else(|| item.id.clone()).unwrap_or_else(|| hash_of(item))
}

/// What names an item that has no key.
fn hash_of(item: &Item) -> String {
    let mut bytes = image::encode_record(&item.body);
    bytes.extend_from_slice(item.id.as_deref().unwrap_or_default().as_bytes());
    hex(digest::digest(&digest::SHA256, &bytes).as_ref())
}

impl Mapped {
    /// What is kept of it.
    pub(super) fn pieces(&self) -> Vec<(&str, Piece<'_>)> {
        let mut pieces = Vec::with_capacity(7);
        pieces.extend(self.key.as_ref().map(|key| ("k", Piece::List(key))));
        pieces.extend(self.remote.as_ref().map(|remote| ("i", Piece::Text(remote))));
        pieces.push(("f", Piece::Map(&self.fields)));
        pieces.push(("d", Piece::Bool(self.deleted)));
        pieces.extend(self.version.as_ref().map(|version| ("v", Piece::Text(version))));
        pieces.extend(self.updated.map(|updated| ("u", Piece::Integer(updated.0))));
        if !self.links.is_empty() {
            let links = self.links.iter().map(|(name, value)| (name.as_str(), Piece::Text(value)));
            pieces.push(("l", Piece::Pieces(links.collect())));
        }
        pieces
    }

    /// From a record that was kept.
    pub(super) fn of_record(record: &Record) -> Mapped {
        let text = |name: &str| match record.get(name) {
            Some(Value::Text(text)) => Some(text.to_string()),
            _ => None,
        };
        let map = |name: &str| match record.get(name) {
            Some(Value::Map(fields)) => fields.clone(),
            _ => Record::new(),
        };
        Mapped {
            key: match record.get("k") {
                Some(Value::List(key)) => Some(key.clone()),
                _ => None,
            },
            remote: text("i"),
            fields: map("f"),
            deleted: record.get("d") == Some(&Value::Bool(true)),
            version: text("v"),
            updated: match record.get("u") {
                Some(Value::Integer(at)) => Some(Timestamp(*at)),
                _ => None,
            },
            links: map("l")
                .iter()
                .filter_map(|(name, value)| Some((name.to_string(), value.as_text()?.into_owned())))
                .collect(),
        }
    }

    /// A copy that it can be tried again from.
    pub(super) fn copy(&self) -> Vec<u8> {
        image::encode_pieces(&self.pieces())
    }

    /// The item of a copy.
    pub(super) fn of_copy(copy: &[u8]) -> Result<Mapped, Unreadable> {
        Ok(Mapped::of_record(&image::decode_record(copy)?))
    }
}

/// Of several items of one record in a page the last one counts.
pub(super) fn last_of_each(site: &Site, items: Vec<Mapped>) -> Vec<Mapped> {
    let mut names = HashSet::with_capacity(items.len());
    let is_nameless = |item: &Mapped| item.key.is_none() && item.remote.is_none();
    let mut last: Vec<Mapped> =
        items.into_iter().rev().filter(|item| is_nameless(item) || names.insert(called(site, item))).collect();
    last.reverse();
    last
}

/// What an item is called: by its key, or by its name there.
pub(super) fn called(site: &Site, item: &Mapped) -> String {
    match &item.key {
        Some(key) => site.identity(key),
        None => format!("there {}", item.remote.as_deref().unwrap_or_default()),
    }
}
