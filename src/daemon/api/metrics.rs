//! `GET /metrics`: figures for who scrapes them. One scrape is made at a time, on connections that only read; who comes
//! meanwhile is given the same.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use tokio::sync::Mutex;

use super::Desk;
use super::problem::Problem;
use crate::clock::{self, Timestamp};
use crate::daemon::handle::Handle;
use crate::engine::metrics::{Parts, metrics as figures};
use crate::format::exposition::{self, Family};
use crate::rules::alert::Condition;
use crate::store::state::StateReader;

/// A scrape that is not older is given to whoever asks.
const FRESH: Duration = Duration::from_secs(1);

/// The last scrape, and when it was made.
pub(super) type Scrape = Arc<Mutex<Option<(Timestamp, Arc<String>)>>>;

/// What is asked for with `Accept`.
const OPENMETRICS: &str = "application/openmetrics-text";

/// The figures.
pub(super) async fn metrics(State(desk): State<Desk>, headers: HeaderMap) -> Result<Response, Problem> {
    let mut last = desk.scrape.lock().await;
    let now = clock::steady();
    let text = match last.as_ref().filter(|(at, _)| now.since(*at) < FRESH) {
        Some((_, text)) => text.clone(),
        None => {
            let text = Arc::new(desk.ask(|handle| scrape(&handle)).await??);
            // From its end: who has waited for it is given it.
            *last = Some((clock::steady(), text.clone()));
            text
        }
    };
    drop(last);
    let wanted = headers.get_all(header::ACCEPT).iter().any(|accept| accept.to_str().is_ok_and(wants_openmetrics));
    Ok(match wanted {
        true => ([(header::CONTENT_TYPE, exposition::OPENMETRICS)], text.to_string()).into_response(),
        false => ([(header::CONTENT_TYPE, exposition::PROMETHEUS)], exposition::prometheus(&text)).into_response(),
    })
}

/// Whether an `Accept` takes OpenMetrics.
fn wants_openmetrics(accept: &str) -> bool {
    accept.split(',').any(|part| {
        let mut words = part.split(';').map(str::trim);
        let refused = |word: &str| word.strip_prefix("q=").is_some_and(|q| q.parse::<f32>().is_ok_and(|q| q <= 0.0));
        words.next().is_some_and(|kind| kind.eq_ignore_ascii_case(OPENMETRICS)) && !words.any(refused)
    })
}

fn scrape(handle: &Handle) -> Result<String, Problem> {
    let unread = |error: crate::store::state::StateError| Problem::later(error.to_string());
    let overview = handle.glance().map_err(unread)?;
    let mut state = StateReader::open(handle.state()).map_err(unread)?;
    let sources = handle.sources();
    let mut alerts: BTreeMap<&'static str, usize> =
        Condition::ALL.iter().map(|(condition, ..)| (condition.as_str(), 0)).collect();
    for alert in handle.alerts().unwrap_or_default() {
        if let Some(n) = alerts.get_mut(alert.condition.as_str()) {
            *n += 1;
        }
    }
    let parts = Parts { overview: &overview, sources: &sources, alerts, state: &mut state, lookout: handle.lookout() };
    let families: Arc<Vec<Family>> = Arc::new(figures(parts).map_err(unread)?);
    exposition::openmetrics(&families).map_err(|_| Problem::broken())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openmetrics_is_given_to_who_asks_for_it() {
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1";
        assert!(wants_openmetrics(prometheus) && wants_openmetrics("text/plain, Application/OpenMetrics-Text"));
        for other in ["*/*", "text/plain", "", "application/openmetrics-text;q=0", "application/openmetrics-textual"] {
            assert!(!wants_openmetrics(other), "{other}");
        }
    }
}
