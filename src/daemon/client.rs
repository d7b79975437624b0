//! The command line's side of the agent's socket.

use std::path::Path;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::{Method, Request, header};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

/// Why the agent could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody answers on the socket.
    #[error("{socket}: the agent cannot be reached there ({error}): is it running, and may this user use its socket?")]
    Unreachable {
        /// The socket.
        socket: String,
        /// Why.
        error: String,
    },
    /// The agent refused.
    #[error("{detail} (HTTP {status})")]
    Refused {
        /// HTTP status.
        status: u16,
        /// Why.
        detail: String,
    },
}

/// An agent that is alive answers a question about itself within so long.
const PATIENCE: Duration = Duration::from_secs(5);

/// GETs what the agent says of itself.
pub fn get<T: DeserializeOwned>(socket: &Path, path: &str) -> Result<T, ClientError> {
    ask(socket, Method::GET, path, Vec::new(), Some(PATIENCE))
}

/// POSTs to the agent and reads its answer.
pub fn post<T: DeserializeOwned>(socket: &Path, path: &str, body: Vec<u8>) -> Result<T, ClientError> {
    ask(socket, Method::POST, path, body, None)
}

fn ask<T: DeserializeOwned>(
    socket: &Path,
    method: Method,
    path: &str,
    body: Vec<u8>,
    patience: Option<Duration>,
) -> Result<T, ClientError> {
    let unreachable = |error: String| ClientError::Unreachable { socket: socket.display().to_string(), error };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| unreachable(error.to_string()))?;
    let asked = runtime.block_on(async {
        let exchange = exchange(socket, method, path, body);
        match patience {
            Some(patience) => tokio::time::timeout(patience, exchange)
                .await
                .unwrap_or_else(|_| Err(anyhow::anyhow!("no answer within {} s", patience.as_secs()))),
            None => exchange.await,
        }
    });
    let (status, answer) = asked.map_err(|error| unreachable(error.to_string()))?;
    if !(200..300).contains(&status) {
        let problem: serde_json::Value = serde_json::from_slice(&answer).unwrap_or_default();
        let detail = problem.get("detail").and_then(|detail| detail.as_str()).unwrap_or("no reason given").to_owned();
        return Err(ClientError::Refused { status, detail });
    }
    serde_json::from_slice(&answer)
        .map_err(|error| ClientError::Refused { status, detail: format!("its answer cannot be read: {error}") })
}

async fn exchange(socket: &Path, method: Method, path: &str, body: Vec<u8>) -> anyhow::Result<(u16, Bytes)> {
    let stream = UnixStream::connect(socket).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, "localhost")
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body)))?;
    let response = sender.send_request(request).await?;
    let status = response.status().as_u16();
    let answer = response.into_body().collect().await?.to_bytes();
    drop(sender);
    let _ = driver.await;
    Ok((status, answer))
}

/// One path segment, percent-encoded.
pub fn segment(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect()
}
