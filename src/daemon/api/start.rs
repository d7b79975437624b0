//! Calls that start something: a connector's run, one record's delivery, a table's comparison.

use std::sync::mpsc::channel;

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Desk;
use super::problem::{Given, Named, Problem};
use crate::daemon::heal::Stopped;
use crate::engine::single::Status;

/// Runs a connector now.
pub(super) async fn connector(State(desk): State<Desk>, Named(name): Named<String>) -> Result<Response, Problem> {
    if desk.handle().sync(&name) {
        Ok(Json(json!({ "status": "sync started", "connector": name })).into_response())
    } else {
        Err(Problem::absent(format!("no connector `{name}`")))
    }
}

/// The query of a caller that knows that the record was there once, so that it is deleted when it is gone.
pub const KNOWN: &str = "known";

/// Delivers one record now.
pub(super) async fn record(
    State(desk): State<Desk>,
    Named((system, kind, id)): Named<(String, String, String)>,
    RawQuery(query): RawQuery,
) -> Result<Json<Status>, Problem> {
    let known = match query.as_deref() {
        None | Some("") => false,
        // With a sign behind it, as programs write a parameter that has no value.
        Some(query) if query.strip_suffix('=').unwrap_or(query) == KNOWN => true,
        Some(_) => return Err(Problem::bad(format!("the query: it knows `{KNOWN}` only"))),
    };
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
    Named((log, table)): Named<(String, String)>,
    Given(manner): Given<Manner>,
) -> Result<Response, Problem> {
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
