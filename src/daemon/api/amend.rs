//! Calls by which a person changes something: connectors and parked deliveries. Each is recorded with who did it and why.

use axum::Json;
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use serde::Deserialize;

use super::caller::Caller;
use super::problem::{Given, Named, Problem};
use super::{Desk, Order};
use crate::engine::delivery::chosen;
use crate::engine::operate::{Actor, Operation, Report};
use crate::store::state::StateReader;
use crate::store::state::parked::Selection;

/// Why.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Why {
    reason: Option<String>,
}

/// Why, and how.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Retry {
    reason: Option<String>,
    /// Although a later change of the record was delivered meanwhile.
    #[serde(default)]
    stale: bool,
}

/// Does what an operation says; the report tells what came of it.
pub(super) async fn operations(
    State(desk): State<Desk>,
    Extension(caller): Extension<Caller>,
    Given(Order { operation, actor }): Given<Order>,
) -> Result<Json<Report>, Problem> {
    let actor = Actor { name: caller.name(Some(&actor.name)), reason: actor.reason };
    operate(&desk, operation, actor).await.map(Json)
}

pub(super) async fn operate(desk: &Desk, operation: Operation, actor: Actor) -> Result<Report, Problem> {
    let done = desk.ask(move |handle| handle.operate(operation, actor)).await?;
    done.map_err(|error| Problem::full(error.to_string()))
}

/// Stops a connector.
pub(super) async fn pause(
    State(desk): State<Desk>,
    Extension(caller): Extension<Caller>,
    Named(connector): Named<String>,
    why: Option<Given<Why>>,
) -> Result<Json<Report>, Problem> {
    one(&desk, Operation::Pause { connector }, caller, reason(why)).await
}

/// Lets a connector go on.
pub(super) async fn resume(
    State(desk): State<Desk>,
    Extension(caller): Extension<Caller>,
    Named(connector): Named<String>,
    why: Option<Given<Why>>,
) -> Result<Json<Report>, Problem> {
    one(&desk, Operation::Resume { connector }, caller, reason(why)).await
}

/// Sends a parked delivery again.
pub(super) async fn retry(
    State(desk): State<Desk>,
    Extension(caller): Extension<Caller>,
    Named(named): Named<(String, String)>,
    how: Option<Given<Retry>>,
) -> Result<Json<Report>, Problem> {
    let Retry { reason, stale } = how.map(|Given(how)| how).unwrap_or_default();
    let which = meant(&desk, named).await?;
    one(&desk, Operation::Retry { which, stale }, caller, reason).await
}

/// Gives a parked delivery up.
pub(super) async fn discard(
    State(desk): State<Desk>,
    Extension(caller): Extension<Caller>,
    Named(named): Named<(String, String)>,
    why: Option<Given<Why>>,
) -> Result<Json<Report>, Problem> {
    let which = meant(&desk, named).await?;
    one(&desk, Operation::Discard { which }, caller, reason(why)).await
}

/// Lets a held delivery go.
pub(super) async fn release(
    State(desk): State<Desk>,
    Extension(caller): Extension<Caller>,
    Named(named): Named<(String, String)>,
    why: Option<Given<Why>>,
) -> Result<Json<Report>, Problem> {
    let which = meant(&desk, named).await?;
    one(&desk, Operation::Release { which }, caller, reason(why)).await
}

fn reason(why: Option<Given<Why>>) -> Option<String> {
    why.and_then(|Given(why)| why.reason)
}

/// The one delivery with this event id, or at this position where only one log has it.
async fn meant(desk: &Desk, (connector, id): (String, String)) -> Result<Selection, Problem> {
    let which = Selection { connector: Some(connector.clone()), ids: vec![id.clone()], ..Selection::default() };
    let asked = which.clone();
    let found = desk.ask(move |handle| chosen(&mut StateReader::open(handle.state())?, &asked)).await?;
    let found = found.map_err(|error| Problem::later(error.to_string()))?;
    match found.as_slice() {
        [(_, one)] => Ok(Selection { ids: vec![one.event.id.to_string()], ..which }),
        [] => Err(Problem::absent(format!("no delivery `{id}` is parked at `{connector}`"))),
        _ => {
            let detail = format!("several logs have an event at position {id}: name it by its event id");
            Err(Problem::new(StatusCode::CONFLICT, detail))
        }
    }
}

/// An operation on one thing: 404 when it is not there, 409 when it is refused.
async fn one(
    desk: &Desk,
    operation: Operation,
    caller: Caller,
    reason: Option<String>,
) -> Result<Json<Report>, Problem> {
    let is_mode = matches!(operation, Operation::Pause { .. } | Operation::Resume { .. });
    let report = operate(desk, operation, Actor { name: caller.name(None), reason }).await?;
    match report.refused.first() {
        Some(refused) if is_mode => Err(Problem::absent(format!("`{}`: {}", refused.subject, refused.why))),
        Some(refused) => Err(Problem::new(StatusCode::CONFLICT, format!("{}: {}", refused.subject, refused.why))),
        None if report.done.is_empty() => Err(Problem::absent("it is not parked any more")),
        None => Ok(Json(report)),
    }
}
