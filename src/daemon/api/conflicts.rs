//! Calls about conflicts: what both sides of a record have changed, and what a person decides about it.

use axum::Json;
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::Desk;
use super::amend::operate;
use super::caller::Caller;
use super::look::{known, limited, unread};
use super::problem::{Asked, Given, Named, Problem};
use crate::engine::conflict::{Conflict, chosen};
use crate::engine::operate::{Actor, Operation, Report};
use crate::rules::governance::Gate;
use crate::store::state::StateReader;
use crate::store::state::conflict::{self, Choice, State as Standing};

/// The query of a list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Filter {
    connector: Option<String>,
    /// `open` when nothing is said.
    state: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    limit: Option<u32>,
}

/// Conflicts, without values.
pub(super) async fn list(
    State(desk): State<Desk>,
    Asked(filter): Asked<Filter>,
) -> Result<Json<Vec<Conflict>>, Problem> {
    let Filter { connector, state, kind, limit } = filter;
    let states = match state.as_deref() {
        None => vec![Standing::Open],
        Some("all") => Vec::new(),
        Some(word) => vec![
            Standing::parse(word)
                .ok_or_else(|| Problem::bad("`state` is open, resolved, decided, superseded or all"))?,
        ],
    };
    let which = Choice { connector, states, kind, limit: Some(limited(limit)?) };
    desk.ask(move |handle| {
        let mut state = StateReader::open(handle.state()).map_err(unread)?;
        known(&handle, &mut state, which.connector.as_deref())?;
        let found = chosen(&mut state, &which).map_err(unread)?;
        let view = Gate::of_views(handle.classes.as_deref());
        Ok(Json(found.iter().map(|entry| Conflict::new(entry, &view)).collect()))
    })
    .await?
}

/// One of them, with the values of both sides.
pub(super) async fn one(State(desk): State<Desk>, Named(id): Named<i64>) -> Result<Json<Conflict>, Problem> {
    desk.ask(move |handle| {
        let mut state = StateReader::open(handle.state()).map_err(unread)?;
        let found = state.read(|db| conflict::find(db, id)).map_err(unread)?;
        let view = Gate::of_views(handle.classes.as_deref());
        found.map(|entry| Json(Conflict::in_full(&entry, &view))).ok_or_else(|| absent(id))
    })
    .await?
}

/// What a person takes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Choosing {
    /// `local` or `remote`; not beside `value`.
    take: Option<String>,
    /// The values.
    #[serde(default, deserialize_with = "given")]
    value: Option<Box<RawValue>>,
    /// The conflict's `at` as that person saw it.
    seen: Option<String>,
    reason: Option<String>,
}

/// Nothing at all is no value, and null is one.
fn given<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::<RawValue>::deserialize(from).map(Some)
}

/// Decides one.
pub(super) async fn resolve(
    State(desk): State<Desk>,
    Extension(caller): Extension<Caller>,
    Named(id): Named<i64>,
    Given(Choosing { take, value, seen, reason }): Given<Choosing>,
) -> Result<Json<Report>, Problem> {
    let take = match (take.as_deref(), value) {
        (Some("local" | "remote"), None) => take.unwrap_or_default(),
        (None, Some(value)) => value.get().to_owned(),
        _ => return Err(Problem::senseless("give `take` (local or remote), or a `value`")),
    };
    let there = desk
        .ask(move |handle| {
            let mut state = StateReader::open(handle.state()).map_err(unread)?;
            state.read(|db| conflict::find(db, id)).map_err(unread)
        })
        .await??;
    if there.is_none() {
        return Err(absent(id));
    }
    let actor = Actor { name: caller.name(None), reason };
    let report = operate(&desk, Operation::Resolve { conflict: id, take, seen }, actor).await?;
    match report.refused.first() {
        Some(refused) => Err(Problem::new(StatusCode::CONFLICT, format!("{}: {}", refused.subject, refused.why))),
        None => Ok(Json(report)),
    }
}

fn absent(id: i64) -> Problem {
    Problem::absent(format!("no conflict {id} is kept"))
}
