//! `sync CONNECTOR` and `sync SYSTEM TYPE ID`.

use crate::cli::failure::{Code, Failure};
use crate::cli::order;
use crate::cli::place::Place;
use crate::cli::{Outcome, output};
use crate::engine::pull::pull_status;
use crate::engine::single::Status;
use crate::store::state::{connector as connectors, parked};

/// Runs a connector now, or delivers one record now
#[derive(Debug, clap::Args)]
pub struct Sync {
    /// The connector
    system: String,
    /// The record's type (a watched table or its `as`)
    #[arg(requires = "id")]
    record_type: Option<String>,
    /// The record's key; a key of several columns joined by commas, or as JSON
    #[arg(id = "id", value_name = "ID")]
    id: Option<String>,
}

/// Runs `sync`. 0 when it succeeded (or was started in the running agent), 1 when not, 75 when the target is down.
pub fn sync(place: &Place, sync: Sync) -> Outcome {
    let config = place.config()?;
    let (Some(kind), Some(id)) = (&sync.record_type, &sync.id) else {
        return run_now(place, config, &sync.system);
    };
    let names: Vec<_> = config.connectors.iter().map(|spec| spec.name.clone()).collect();
    if !names.iter().any(|name| **name == *sync.system) {
        return Err(order::unknown(&sync.system, &names));
    }
    let status = order::sync_record(config, &sync.system, kind, id, false)?;
    output::json_line(&status)?;
    Ok(if status == Status::Success { Code::Ok } else { Code::Failed })
}

fn run_now(place: &Place, config: crate::config::Config, connector: &str) -> Outcome {
    let settings = config.settings.clone();
    let names: Vec<_> = config.connectors.iter().chain(&config.drops).map(|spec| spec.name.clone()).collect();
    if !names.iter().any(|name| **name == *connector) {
        return Err(order::unknown(connector, &names));
    }
    let reads = config.connectors.iter().any(|spec| *spec.name == *connector && spec.strategy.pulls());
    let Some(summary) = order::sync(config, connector)? else {
        output::json_line(&serde_json::json!({ "status": "sync started", "connector": connector }))?;
        return Ok(Code::Ok);
    };
    let mut state = place.state(&settings)?;
    let (parked, pulled) = state.read(|db| match connectors::find(db, connector)? {
        Some(known) => Ok((parked::counts(db, known.id)?, pull_status(db, &known)?)),
        None => Ok((Vec::new(), None)),
    })?;
    let aside = pulled.filter(|_| reads).and_then(|status| status.aside_words(connector));
    let parked: u64 = parked.into_iter().map(|(_, n)| n).sum();
    let reason = match (&summary.left_off, parked) {
        (Some(reason), _) => Some(reason.to_string()),
        (None, 0) => aside,
        (None, n) => Some(format!("{n} deliveries are parked; `hms-sync deliveries list` shows them")),
    };
    let status = match reason {
        None => Status::Success,
        Some(reason) => Status::failed(reason),
    };
    output::json_line(&status)?;
    Ok(match (&status, summary.left_off) {
        (Status::Success, _) => Code::Ok,
        (_, Some(_)) => Code::Temporary,
        (_, None) => Code::Failed,
    })
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Failure {
        Failure::new(Code::Failed, error.to_string())
    }
}
