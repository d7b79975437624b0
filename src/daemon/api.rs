//! The loopback API on the agent's unix socket: its permissions decide who may ask.
//!
//! Calls that change something are operations of the engine; the command line uses these same calls while the agent
//! runs. Errors are `application/problem+json` (RFC 9457).

use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::JoinHandle;

use axum::extract::{DefaultBodyLimit, Path as Segments, RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::net::UnixListener;
use tokio::sync::watch;

use crate::daemon::handle::Handle;
use crate::daemon::heal::Stopped;
use crate::engine::operate::{Actor, Operation};

/// Largest body that is read.
const BODY: usize = 1 << 20;

/// What a person wants done, and who they are.
#[derive(Debug, Serialize, Deserialize)]
pub struct Order {
    /// What.
    pub operation: Operation,
    /// Who, and why.
    pub actor: Actor,
}

/// The agent that the API speaks for; changed when the configuration is loaded again.
pub type Shared = Arc<RwLock<Handle>>;

/// The running API.
#[derive(Debug)]
pub struct Api {
    stop: watch::Sender<bool>,
    thread: JoinHandle<()>,
    path: PathBuf,
}

impl Api {
    /// Listens on a unix socket, mode 0660. A socket left behind by an agent that was killed is replaced: the caller
    /// holds the lock of the state file, so nobody listens there.
    ///
    /// # Errors
    /// The socket cannot be made.
    pub fn listen(path: &Path, shared: Shared) -> io::Result<Api> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = std::os::unix::net::UnixListener::bind(path)?;
        listener.set_nonblocking(true)?;
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o660))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, mut stopped) = watch::channel(false);
        let thread = std::thread::Builder::new().name("api".into()).spawn(move || {
            runtime.block_on(async move {
                let listener = match UnixListener::from_std(listener) {
                    Ok(listener) => listener,
                    Err(error) => return log::error!("the API cannot listen: {error}"),
                };
                let stop = async move {
                    let _ = stopped.wait_for(|stop| *stop).await;
                };
                if let Err(error) = axum::serve(listener, router(shared)).with_graceful_shutdown(stop).await {
                    log::error!("the API has ended: {error}");
                }
            });
        })?;
        Ok(Api { stop, thread, path: path.to_owned() })
    }

    /// Ends it; calls that wait for a delivery are answered by its end.
    pub fn stop(self) {
        let _ = self.stop.send(true);
        let _ = std::fs::remove_file(&self.path);
        // A caller that keeps its connection open does not keep the agent alive: the thread is left to the exit.
        drop(self.thread);
    }
}

fn router(shared: Shared) -> Router {
    Router::new()
        .route("/healthz", get(|| async { Json(json!({ "status": "ok" })) }))
        .route("/needs", get(needs))
        .route("/sources", get(sources))
        .route("/connectors/{name}/sync", post(sync))
        .route("/connectors/{name}/pause", post(pause))
        .route("/connectors/{name}/resume", post(resume))
        .route("/sync/{system}/{kind}/{id}", post(sync_record))
        .route("/operations", post(operate))
        .route("/logs/{log}/tables/{table}/reconcile", post(reconcile))
        .layer(DefaultBodyLimit::max(BODY))
        .with_state(shared)
}

fn handle(shared: &Shared) -> Handle {
    shared.read().unwrap_or_else(PoisonError::into_inner).clone()
}

/// What needs a person and stands in no file.
async fn needs(State(shared): State<Shared>) -> Response {
    Json(handle(&shared).needs()).into_response()
}

/// How it stands with the event sources.
async fn sources(State(shared): State<Shared>) -> Response {
    Json(handle(&shared).sources()).into_response()
}

async fn sync(State(shared): State<Shared>, Segments(name): Segments<String>) -> Response {
    if handle(&shared).sync(&name) {
        Json(json!({ "status": "sync started", "connector": name })).into_response()
    } else {
        unknown(&name)
    }
}

/// The query of a caller that knows that the record was there once, so that it is deleted when it is gone.
pub const KNOWN: &str = "known";

async fn sync_record(
    State(shared): State<Shared>,
    Segments((system, kind, id)): Segments<(String, String, String)>,
    RawQuery(query): RawQuery,
) -> Response {
    let handle = handle(&shared);
    let known = query.as_deref() == Some(KNOWN);
    // It waits for a delivery: on a thread of its own, so that other calls are answered meanwhile.
    match tokio::task::spawn_blocking(move || handle.sync_record(&system, &kind, &id, known)).await {
        Ok(status) => Json(status).into_response(),
        Err(_) => problem(StatusCode::INTERNAL_SERVER_ERROR, "the delivery broke down"),
    }
}

async fn pause(state: State<Shared>, Segments(connector): Segments<String>) -> Response {
    by_api(state, Operation::Pause { connector }).await
}

async fn resume(state: State<Shared>, Segments(connector): Segments<String>) -> Response {
    by_api(state, Operation::Resume { connector }).await
}

async fn by_api(state: State<Shared>, operation: Operation) -> Response {
    let actor = Actor { name: "api".to_owned(), reason: None };
    operate(state, Json(Order { operation, actor })).await
}

async fn operate(State(shared): State<Shared>, Json(order): Json<Order>) -> Response {
    let handle = handle(&shared);
    match tokio::task::spawn_blocking(move || handle.operate(order.operation, order.actor)).await {
        Ok(Ok(report)) => Json(report).into_response(),
        Ok(Err(error)) => problem(StatusCode::INSUFFICIENT_STORAGE, &error.to_string()),
        Err(_) => problem(StatusCode::INTERNAL_SERVER_ERROR, "the operation broke down"),
    }
}

/// How a table is reconciled.
#[derive(Debug, Serialize, Deserialize)]
pub struct Manner {
    /// Also when very many of its records are gone.
    pub force: bool,
    /// Answer when it has come to its end, and with what came of it: 409 when a person must agree, 503 when the agent
    /// stops before.
    #[serde(default)]
    pub wait: bool,
}

async fn reconcile(
    State(shared): State<Shared>,
    Segments((log, table)): Segments<(String, String)>,
    Json(manner): Json<Manner>,
) -> Response {
    let (told, came) = channel();
    if !handle(&shared).reconcile(&log, &table, manner.force, manner.wait.then_some(told)) {
        return problem(StatusCode::NOT_FOUND, &format!("no log `{log}`"));
    }
    if !manner.wait {
        return Json(json!({ "status": "reconcile started", "table": table })).into_response();
    }
    match tokio::task::spawn_blocking(move || came.recv()).await {
        Ok(Ok(Ok(report))) => Json(report).into_response(),
        Ok(Ok(Err(Stopped { asks: true, text }))) => problem(StatusCode::CONFLICT, &text),
        Ok(Ok(Err(Stopped { text, .. }))) => problem(StatusCode::INTERNAL_SERVER_ERROR, &text),
        _ => problem(StatusCode::SERVICE_UNAVAILABLE, "the agent stopped before the comparison came to its end"),
    }
}

fn unknown(connector: &str) -> Response {
    problem(StatusCode::NOT_FOUND, &format!("no connector `{connector}`"))
}

fn problem(status: StatusCode, detail: &str) -> Response {
    let title = status.canonical_reason().unwrap_or("Error");
    let body = json!({ "type": "about:blank", "title": title, "status": status.as_u16(), "detail": detail });
    (status, [(header::CONTENT_TYPE, "application/problem+json")], body.to_string()).into_response()
}
