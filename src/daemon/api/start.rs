//! Calls that start something: a connector's run, one record's delivery, a table's comparison.

use std::sync::mpsc::channel;

use axum::Json;
use axum::extract::{Extension, RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Desk;
use super::caller::Caller;
use super::problem::{Given, Named, Problem};
use crate::daemon::heal::Stopped;
use crate::engine::operate::{Actor, Deed, Operation};
use crate::engine::single::Status;

/// Takes down who starts something. A state file that takes nothing sends nothing either: the call is answered all the same.
async fn noted(desk: &Desk, caller: Caller, deed: Deed, subject: &str, reason: Option<String>) {
    let operation = Operation::Note { deed, subject: subject.to_owned() };
    let actor = Actor { name: caller.name(None), reason };
    let done = desk.ask(move |handle| handle.operate(operation, actor)).await;
    if let Ok(Err(error)) = done {
        log::warn!("{} of {subject} is not in the audit: {error}", deed.as_str());
    }
}

/// Runs a connector now.
pub(super) async fn connector(
    State(desk): State<Desk>,
    Extension(caller): Extension<Caller>,
    Named(name): Named<String>,
) -> Result<Response, Problem> {
    let absent = || Problem::absent(format!("no connector `{name}`"));
    if !desk.handle().runs(&name) {
        return Err(absent());
    }
    noted(&desk, caller, Deed::Sync, &name, None).await;
    if desk.handle().sync(&name) {
        Ok(Json(json!({ "status": "sync started", "connector": name })).into_response())
    } else {
        Err(absent())
    }
}

/// The query of a caller that knows that the record was there once, so that it is deleted when it is gone.
pub const KNOWN: &str = "known";

/// Delivers one record now.
pub(super) async fn record(
    State(desk): State<Desk>,
    Extension(caller): Extension<Caller>,
    Named((system, kind, id)): Named<(String, String, String)>,
    RawQuery(query): RawQuery,
) -> Result<Json<Status>, Problem> {
    let known = match query.as_deref() {
        None | Some("") => false,
        // With a sign behind it, as programs write a parameter that has no value.
        Some(query) if query.strip_suffix('=').unwrap_or(query) == KNOWN => true,
        Some(_) => return Err(Problem::bad(format!("the query: it knows `{KNOWN}` only"))),
    };
    // What nobody could deliver is answered, and is no deed.
    if desk.handle().runs(&system) {
        noted(&desk, caller, Deed::Sync, &system, Some(format!("one record of {kind}"))).await;
    }
    desk.ask(move |handle| handle.sync_record(&system, &kind, &id, known)).await.map(Json)
}

/// How a table is reconciled.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manner {
    /// Also when very many of its records are gone.
    pub force: bool,
    /// Answer when it has come to its end, and with what came of it: 409 when a person must agree, 503 when the agent
    /// stops before.
    #[serde(default)]
    pub wait: bool,
}

/// Compares a table with what was delivered of it.
pub(super) async fn reconcile(
    State(desk): State<Desk>,
    Extension(caller): Extension<Caller>,
    Named((log, table)): Named<(String, String)>,
    Given(manner): Given<Manner>,
) -> Result<Response, Problem> {
    let asked = (log.clone(), table.clone());
    match desk.ask(move |handle| handle.watches(&asked.0, &asked.1)).await? {
        None => return Err(Problem::absent(format!("no log `{log}`"))),
        Some(false) => return Err(Problem::absent(format!("no table `{table}` is watched in `{log}`"))),
        Some(true) => {}
    }
    noted(&desk, caller, Deed::Reconcile, &format!("{log}.{table}"), None).await;
    let (told, came) = channel();
    if !desk.handle().reconcile(&log, &table, manner.force, manner.wait.then_some(told)) {
        return Err(Problem::absent(format!("no log `{log}`")));
    }
    if !manner.wait {
        return Ok(Json(json!({ "status": "reconcile started", "table": table })).into_response());
    }
    match desk.ask(move |_| came.recv()).await? {
        Ok(Ok(report)) => Ok(Json(report).into_response()),
        Ok(Err(Stopped { asks: true, text })) => Err(Problem::new(StatusCode::CONFLICT, text)),
        Ok(Err(Stopped { text, .. })) => Err(Problem::senseless(text)),
        Err(_) => Err(Problem::later("the agent stopped before the comparison came to its end")),
    }
}
