//! The loopback API: on the agent's unix socket, whose permissions decide who may ask, and on TCP ports of this machine
//! where the configuration says so, where a token does.
//!
//! Calls that change something are operations of the engine; the command line uses these same calls while the agent
//! runs. Errors are `application/problem+json` (RFC 9457). `openapi.rs` describes every call.

mod amend;
mod caller;
mod conflicts;
mod door;
mod events;
mod guard;
mod health;
mod listener;
mod look;
mod metrics;
mod openapi;
mod post;
mod problem;
mod session;
mod signin;
mod start;
mod token;
mod write;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post as posted};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use tokio::sync::{Semaphore, watch};

use crate::clock::Timestamp;
use crate::daemon::handle::Handle;
use crate::engine::need::Need;
use crate::engine::operate::{Actor, Operation};

pub use listener::{Api, Ways};
pub use problem::Problem;
pub use session::Sessions;
pub use signin::Code;
pub use start::{KNOWN, Manner};

/// What a person wants done, and who they are.
#[derive(Debug, Serialize, Deserialize)]
pub struct Order {
    /// What.
    #[serde(deserialize_with = "by_words")]
    pub operation: Operation,
    /// Who, and why. On the socket the name is the peer's; what stands here counts only from root (`sudo`).
    pub actor: Actor,
}

/// Reads an operation whose verb is a word: by its number nobody is meant.
fn by_words<'de, D: Deserializer<'de>>(from: D) -> Result<Operation, D::Error> {
    let told = serde_json::Value::deserialize(from)?;
    if let Some(name) = ["verb", "act"].into_iter().find(|name| told.get(name).is_some_and(|word| !word.is_string())) {
        return Err(D::Error::custom(format!("`operation.{name}` must be a text")));
    }
    serde_json::from_value(whole(told)).map_err(D::Error::custom)
}

/// The same with `1.0` as `1`: to JSON, and so to the schemas of `/openapi.json`, both are one integer.
fn whole(value: serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    /// Up to here every integer is a number of its own.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match value {
        Value::Number(number) => match number.as_f64().filter(|float| number.is_f64() && float.fract() == 0.0) {
            Some(float) if float.abs() <= EXACT => Value::from(float as i64),
            _ => Value::Number(number),
        },
        Value::Array(items) => items.into_iter().map(whole).collect(),
        Value::Object(fields) => fields.into_iter().map(|(name, value)| (name, whole(value))).collect(),
        other => other,
    }
}

/// The agent that the API speaks for; changed when the configuration is loaded again.
pub type Shared = Arc<RwLock<Handle>>;

/// Most streams of events at once; other calls keep the rest of the connections.
const STREAMS: usize = 16;

/// What every call works with; cheap to clone.
#[derive(Clone)]
struct Desk {
    shared: Shared,
    /// Turns true when the API ends.
    stop: watch::Receiver<bool>,
    /// None where no TCP caller can come.
    token: Option<Arc<token::Token>>,
    streams: Arc<Semaphore>,
    /// When it was last tried whether a state file that refused takes something again.
    tried: Arc<Mutex<Option<Timestamp>>>,
    /// Ways in that could not be opened.
    shut: Arc<Vec<Need>>,
    /// TCP ports that are open.
    ports: Arc<Vec<SocketAddr>>,
    sessions: Arc<Sessions>,
    /// `/metrics` is for everybody.
    open_metrics: bool,
    /// The last scrape.
    scrape: metrics::Scrape,
}

impl Desk {
    fn new(
        shared: Shared,
        stop: watch::Receiver<bool>,
        token: Option<Arc<token::Token>>,
        shut: Vec<Need>,
        ports: Vec<SocketAddr>,
    ) -> Desk {
        let streams = Arc::new(Semaphore::new(STREAMS));
        let (shut, ports, tried) = (Arc::new(shut), Arc::new(ports), Arc::default());
        let (sessions, scrape) = (Arc::default(), metrics::Scrape::default());
        Desk { shared, stop, token, streams, tried, shut, ports, sessions, open_metrics: false, scrape }
    }

    fn handle(&self) -> Handle {
        self.shared.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Works on a thread of its own, so that other calls are answered meanwhile.
    async fn ask<T: Send + 'static>(&self, work: impl FnOnce(Handle) -> T + Send + 'static) -> Result<T, Problem> {
        let handle = self.handle();
        tokio::task::spawn_blocking(move || work(handle)).await.map_err(|_| Problem::broken())
    }
}

fn router(desk: Desk) -> Router {
    Router::new()
        .route(guard::PAGE, get(signin::page))
        .route(guard::SESSION, get(signin::who).post(signin::sign_in).delete(signin::sign_out))
        .route("/session/codes", posted(signin::code))
        .route(guard::LIVE, get(health::live))
        .route(guard::READY, get(health::ready))
        .route("/openapi.json", get(openapi::document))
        .route(guard::METRICS, get(metrics::metrics))
        .route("/alerts", get(look::alerts))
        .route("/needs", get(look::needs))
        .route("/sources", get(look::sources))
        .route("/status", get(look::status))
        .route("/connectors", get(look::connectors))
        .route("/connectors/{name}", get(look::connector))
        .route("/connectors/{name}/sync", posted(start::connector))
        .route("/connectors/{name}/pull", posted(start::connector))
        .route("/connectors/{name}/pause", posted(amend::pause))
        .route("/connectors/{name}/resume", posted(amend::resume))
        .route("/records/{kind}/{key}", get(look::record))
        .route("/aside", get(look::aside))
        .route("/deliveries", get(look::deliveries))
        .route("/deliveries/{connector}/{id}/retry", posted(amend::retry))
        .route("/deliveries/{connector}/{id}/discard", posted(amend::discard))
        .route("/deliveries/{connector}/{id}/release", posted(amend::release))
        .route("/conflicts", get(conflicts::list))
        .route("/conflicts/{id}", get(conflicts::one))
        .route("/conflicts/{id}/resolve", posted(conflicts::resolve))
        .route("/events", get(events::stream))
        .route("/sync", posted(post::post))
        .route("/sync/{system}/{kind}/{id}", posted(start::record))
        .route("/operations", posted(amend::operations))
        .route("/logs/{log}/tables/{table}/reconcile", posted(start::reconcile))
        .fallback(problem::nowhere)
        .method_not_allowed_fallback(problem::not_so)
        .layer(from_fn_with_state(desk.clone(), guard::guard))
        .with_state(desk)
}
