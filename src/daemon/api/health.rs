//! Whether the agent lives, and whether it can work. Everybody may ask: the answers name no file and no connector.

use std::sync::PoisonError;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::Desk;
use super::problem::Problem;
use crate::clock;
use crate::daemon::handle::Handle;
use crate::store::capture::{Access, CapturedLog};
use crate::store::state::{StateReader, intake};

/// A state file that refused is tried again this often at most.
const AGAIN: Duration = Duration::from_secs(1);

/// The process lives.
pub(super) async fn live() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

/// What happens in the application's files can be read, and what is sent can be recorded.
pub(super) async fn ready(State(desk): State<Desk>) -> Result<Json<Value>, Problem> {
    let may_try = {
        let now = clock::steady();
        let mut tried = desk.tried.lock().unwrap_or_else(PoisonError::into_inner);
        let may = tried.is_none_or(|tried| now.since(tried) >= AGAIN);
        if may {
            *tried = Some(now);
        }
        may
    };
    desk.ask(move |handle| look(&handle, may_try)).await?.map_err(Problem::later)?;
    Ok(Json(json!({ "status": "ready" })))
}

fn look(handle: &Handle, may_try: bool) -> Result<(), &'static str> {
    const REFUSES: &str = "the state file takes nothing at this time: nothing is sent, and nothing is taken in";
    if handle.ledger().refused().is_some() && !(may_try && handle.ledger().probe().is_ok()) {
        return Err(REFUSES);
    }
    let readable = StateReader::open(handle.state()).and_then(|mut state| state.read(intake::highest));
    readable.map_err(|_| "the state file cannot be read")?;
    let reads = |database: &crate::config::watch::Database| {
        CapturedLog::open(&database.name, &database.path, Access::Read).and_then(|log| log.installed()).is_ok()
    };
    if !handle.databases.is_empty() && !handle.databases.iter().any(reads) {
        return Err("no application's file can be read");
    }
    Ok(())
}
