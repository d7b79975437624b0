//! The scheduler's door: TLS, and as much HTTP/1.1 as its only caller speaks. One thread a connection.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::{Desk, Reply, lock};

/// Longest head and longest body that it takes.
const MOST: usize = 64 << 10;
/// How long it waits for the next request of a connection.
const PATIENCE: Duration = Duration::from_secs(60);

/// One request.
#[derive(Debug)]
pub struct Call {
    /// Method.
    pub method: String,
    /// Path.
    pub path: String,
    /// `Idempotency-Key`; empty = none.
    pub key: String,
    /// `Authorization`; empty = none.
    pub authorization: String,
    /// Body.
    pub body: Vec<u8>,
}

type Tls = StreamOwned<ServerConnection, TcpStream>;

/// Accepts connections until the process ends.
pub fn serve(listener: TcpListener, tls: Arc<ServerConfig>, token: String, desk: Arc<Mutex<Desk>>) -> io::Result<()> {
    let token: Arc<str> = token.into();
    std::thread::Builder::new().name("scheduler".into()).spawn(move || {
        for socket in listener.incoming().flatten() {
            let (tls, token, desk) = (Arc::clone(&tls), Arc::clone(&token), Arc::clone(&desk));
            // Without a thread the connection is dropped: one more bad moment.
            let _ = std::thread::Builder::new().name("scheduler/call".into()).spawn(move || {
                // How a connection ends is the caller's affair.
                let _ = attend(socket, tls, &token, &desk);
            });
        }
    })?;
    Ok(())
}

/// Answers the requests of one connection.
fn attend(socket: TcpStream, tls: Arc<ServerConfig>, token: &str, desk: &Mutex<Desk>) -> io::Result<()> {
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    if lock(desk).is_down(Instant::now()) {
        return reset(&socket);
    }
    let session = ServerConnection::new(tls).map_err(io::Error::other)?;
    let mut stream = StreamOwned::new(session, socket);
    let mut buffer = Vec::new();
    while let Some(call) = read(&mut stream, &mut buffer)? {
        if call.authorization != token {
            write(&mut stream, 401, None, "{}")?;
            continue;
        }
        let reply = lock(desk).take(call, Instant::now());
        match reply {
            Reply::Answer { status, retry_after, body, after } => {
                std::thread::sleep(after);
                write(&mut stream, status, retry_after, &body.to_string())?;
            }
            Reply::Reset => return reset(&stream.sock),
        }
    }
    stream.conn.send_close_notify();
    stream.flush()
}

/// The next request; none when the caller has hung up. `buffer` keeps what came beyond it.
fn read(stream: &mut Tls, buffer: &mut Vec<u8>) -> io::Result<Option<Call>> {
    loop {
        if let Some((call, length)) = parse(buffer)? {
            buffer.drain(..length);
            return Ok(Some(call));
        }
        let mut chunk = [0; 4096];
        let count = stream.read(&mut chunk)?;
        if count == 0 {
            return Ok(None);
        }
        buffer.extend(chunk.iter().take(count));
    }
}

/// A request and its length, once it is there as a whole.
fn parse(bytes: &[u8]) -> io::Result<Option<(Call, usize)>> {
    let strange = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what);
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut request = httparse::Request::new(&mut headers);
    let head = match request.parse(bytes).map_err(io::Error::other)? {
        httparse::Status::Complete(head) => head,
        httparse::Status::Partial if bytes.len() > MOST => return Err(strange("the head is too long")),
        httparse::Status::Partial => return Ok(None),
    };
    let header = |name: &str| {
        let found = request.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
        found.map(|header| String::from_utf8_lossy(header.value).into_owned()).unwrap_or_default()
    };
    if !header("transfer-encoding").is_empty() {
        return Err(strange("only bodies with a Content-Length are read here"));
    }
    let length = match header("content-length").as_str() {
        "" => 0,
        text => text.parse().map_err(|_| strange("Content-Length is no number"))?,
    };
    if length > MOST {
        return Err(strange("the body is too long"));
    }
    let Some(body) = bytes.get(head..head + length) else { return Ok(None) };
    let call = Call {
        method: request.method.unwrap_or_default().to_owned(),
        path: request.path.unwrap_or_default().to_owned(),
        key: header("idempotency-key"),
        authorization: header("authorization"),
        body: body.to_vec(),
    };
    Ok(Some((call, head + length)))
}

fn write(stream: &mut Tls, status: u16, retry_after: Option<u64>, body: &str) -> io::Result<()> {
    let reason = match status {
        200 => "OK",
        401 => "Unauthorized",
        404 => "Not Found",
        422 => "Unprocessable Content",
        503 => "Service Unavailable",
        _ => "Bad Request",
    };
    let wait = retry_after.map(|seconds| format!("Retry-After: {seconds}\r\n")).unwrap_or_default();
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} {reason}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n{wait}\r\n"
    );
    stream.write_all(format!("{head}{body}").as_bytes())?;
    stream.flush()
}

/// Ends a connection with a reset instead of a farewell.
fn reset(socket: &TcpStream) -> io::Result<()> {
    Ok(rustix::net::sockopt::set_socket_linger(socket, Some(Duration::ZERO))?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_taken_when_it_is_there_as_a_whole_and_what_follows_it_stays() {
        let text = "PUT /slots/7 HTTP/1.1\r\nHost: x\r\nIDEMPOTENCY-KEY: k\r\nContent-Length: 4\r\n\r\n{\"\"}GET";
        for short in 0..text.len() - 3 {
            assert!(parse(&text.as_bytes()[..short]).unwrap().is_none(), "{short}");
        }
        let (call, length) = parse(text.as_bytes()).unwrap().unwrap();
        assert_eq!((call.method.as_str(), call.path.as_str(), call.key.as_str()), ("PUT", "/slots/7", "k"));
        assert_eq!((call.body.as_slice(), length), (&b"{\"\"}"[..], text.len() - 3));
    }

    #[test]
    fn nonsense_ends_the_connection() {
        for text in [
            "\0\0\r\n\r\n",
            "PUT / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
            "PUT / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n",
            "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
        ] {
            assert!(parse(text.as_bytes()).is_err(), "{text:?}");
        }
    }
}
