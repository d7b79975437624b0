//! Calls that only look: the same JSON as the command line's `--json`.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;

use super::Desk;
use super::problem::{Asked, Named, Problem};
use crate::daemon::handle::Handle;
use crate::engine::alarm::{self, AlertStatus};
use crate::engine::delivery::{Delivery, chosen};
use crate::engine::inflow::InflowStatus;
use crate::engine::need::Need;
use crate::engine::overview::Overview;
use crate::engine::pull::{StandsAside, stands_aside};
use crate::engine::record::{RecordError, RecordHistory, record as history};
use crate::engine::report::ConnectorStatus;
use crate::rules::governance::Gate;
use crate::store::capture::{Access, CaptureError, CapturedLog};
use crate::store::state::parked::Selection;
use crate::store::state::{StateError, StateReader, connector as connectors_known};

/// How many a list has when the caller does not say, and at most.
const USUAL: u32 = 100;
const MOST: u32 = 1000;

/// What needs a person and stands in no file.
pub(super) async fn needs(State(desk): State<Desk>) -> Json<Vec<Need>> {
    Json(desk.handle().needs().into_iter().chain(desk.shut.iter().cloned()).collect())
}

/// The alerts that are open.
pub(super) async fn alerts(State(desk): State<Desk>) -> Result<Json<Vec<AlertStatus>>, Problem> {
    if let Some(open) = desk.handle().alerts() {
        return Ok(Json(open));
    }
    let read = |handle: Handle| {
        let mut state = StateReader::open(handle.state()).map_err(unread)?;
        state.read(alarm::open).map(Json).map_err(unread)
    };
    desk.ask(read).await?
}

/// How it stands with the event sources.
pub(super) async fn sources(State(desk): State<Desk>) -> Json<Vec<InflowStatus>> {
    Json(desk.handle().sources())
}

/// Everything at a glance.
pub(super) async fn status(State(desk): State<Desk>) -> Result<Json<Overview>, Problem> {
    let shut = desk.shut.clone();
    desk.ask(move |handle| {
        let mut seen = glance(&handle)?;
        seen.sources = handle.sources();
        seen.needs.extend(handle.needs());
        seen.needs.extend(shut.iter().cloned());
        Ok(Json(seen))
    })
    .await?
}

/// The connectors at a glance.
pub(super) async fn connectors(State(desk): State<Desk>) -> Result<Json<Vec<ConnectorStatus>>, Problem> {
    desk.ask(|handle| Ok(Json(glance(&handle)?.connectors))).await?
}

/// One of them.
pub(super) async fn connector(
    State(desk): State<Desk>,
    Named(name): Named<String>,
) -> Result<Json<ConnectorStatus>, Problem> {
    desk.ask(move |handle| {
        let found = glance(&handle)?.connectors.into_iter().find(|known| known.connector == name);
        found.map(Json).ok_or_else(|| Problem::absent(format!("no connector `{name}`")))
    })
    .await?
}

fn glance(handle: &Handle) -> Result<Overview, Problem> {
    let mut seen = handle.glance().map_err(unread)?;
    seen.alerts = handle.alerts().unwrap_or(seen.alerts);
    Ok(seen)
}

pub(super) fn unread(error: StateError) -> Problem {
    Problem::later(error.to_string())
}

/// The query of a record.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Depth {
    limit: Option<u32>,
}

/// One record's whole history.
pub(super) async fn record(
    State(desk): State<Desk>,
    Named((kind, key)): Named<(String, String)>,
    Asked(Depth { limit }): Asked<Depth>,
) -> Result<Json<RecordHistory>, Problem> {
    let limit = usize::try_from(limited(limit)?).unwrap_or(usize::MAX);
    desk.ask(move |handle| {
        let logs = handle.databases.iter().map(|database| {
            let log = CapturedLog::open(&database.name, &database.path, Access::Read)?;
            Ok(log.installed()?.then_some(log))
        });
        let logs = logs.filter_map(Result::transpose).collect::<Result<Vec<_>, CaptureError>>();
        let mut logs = logs.map_err(|error| Problem::later(error.to_string()))?;
        let mut state = StateReader::open(handle.state()).map_err(unread)?;
        let view = Gate::of_views(handle.classes.as_deref());
        history(&mut logs, Some(&mut state), &kind, &key, limit, &view).map(Json).map_err(|error| match error {
            RecordError::Unknown { .. } | RecordError::Nothing => Problem::absent(error.to_string()),
            RecordError::Key(why) => Problem::bad(format!("the key: {why}")),
            RecordError::Capture(error) => Problem::later(error.to_string()),
            RecordError::State(error) => unread(error),
        })
    })
    .await?
}

pub(super) fn limited(limit: Option<u32>) -> Result<u32, Problem> {
    let limit = limit.unwrap_or(USUAL);
    let fits = (1..=MOST).contains(&limit);
    fits.then_some(limit).ok_or_else(|| Problem::bad(format!("`limit` is 1 to {MOST}")))
}

/// The query of a list of deliveries.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Filter {
    connector: Option<String>,
    state: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    class: Option<String>,
    /// Event ids or positions, joined by commas.
    id: Option<String>,
    limit: Option<u32>,
}

/// Refuses the name of a connector that neither runs nor is remembered.
pub(super) fn known(handle: &Handle, state: &mut StateReader, name: Option<&str>) -> Result<(), Problem> {
    let Some(name) = name else { return Ok(()) };
    let known = state.read(connectors_known::all).map_err(unread)?;
    let is_known = known.iter().any(|known| known.name == name) || handle.connectors().any(|known| known == name);
    is_known.then_some(()).ok_or_else(|| Problem::absent(format!("no connector `{name}`")))
}

/// The query of what comes in and stands aside.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Inbound {
    connector: Option<String>,
    state: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    class: Option<String>,
    limit: Option<u32>,
}

/// What comes in and stands aside.
pub(super) async fn aside(
    State(desk): State<Desk>,
    Asked(filter): Asked<Inbound>,
) -> Result<Json<Vec<StandsAside>>, Problem> {
    let Inbound { connector, state, kind, class, limit } = filter;
    if state.as_deref().is_some_and(|state| !["refused", "held", "bad"].contains(&state)) {
        return Err(Problem::bad("`state` is refused, held or bad"));
    }
    let which = Selection { connector, state, kind, class, ids: Vec::new(), limit: Some(limited(limit)?) };
    desk.ask(move |handle| {
        let mut state = StateReader::open(handle.state()).map_err(unread)?;
        known(&handle, &mut state, which.connector.as_deref())?;
        let view = Gate::of_views(handle.classes.as_deref());
        stands_aside(&mut state, &handle.reading(), &which, &view).map(Json).map_err(unread)
    })
    .await?
}

/// What stands aside.
pub(super) async fn deliveries(
    State(desk): State<Desk>,
    Asked(filter): Asked<Filter>,
) -> Result<Json<Vec<Delivery>>, Problem> {
    let Filter { connector, state, kind, class, id, limit } = filter;
    if state.as_deref().is_some_and(|state| !["waiting", "behind", "held", "dead"].contains(&state)) {
        return Err(Problem::bad("`state` is waiting, behind, held or dead"));
    }
    let ids = id.map(|ids| ids.split(',').map(str::to_owned).collect()).unwrap_or_default();
    let limit = Some(limited(limit)?);
    let which = Selection { connector, state, kind, class, ids, limit };
    desk.ask(move |handle| {
        let mut state = StateReader::open(handle.state()).map_err(unread)?;
        known(&handle, &mut state, which.connector.as_deref())?;
        let found = chosen(&mut state, &which).map_err(unread)?;
        let view = Gate::of_views(handle.classes.as_deref());
        Ok(Json(found.iter().map(|(known, parked)| Delivery::new(&known.name, parked, &view)).collect()))
    })
    .await?
}
