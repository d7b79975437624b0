//! A program that talks to the agent's API: raw HTTP/1.1 over its socket or its TCP port.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use hms_sync::store::state::holder;
use serde_json::Value;

use super::office::{Agent, Office};

/// A read that brings nothing for so long has failed.
const PATIENCE: Duration = Duration::from_secs(180);

/// A way in.
#[derive(Clone, Debug)]
pub enum Way {
    Socket(PathBuf),
    Tcp(SocketAddr, String),
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The reason of a refusal.
    #[track_caller]
    pub fn detail(&self) -> String {
        assert!(self.head.contains("application/problem+json"), "{self:?}");
        self.json()["detail"].as_str().unwrap().to_owned()
    }
}

trait Stream: Read + Write + Send {}
impl<S: Read + Write + Send> Stream for S {}

/// A connection that is kept.
pub struct Line {
    way: Way,
    stream: BufReader<Box<dyn Stream>>,
}

impl Way {
    /// The agent's socket.
    pub fn socket(office: &Office) -> Way {
        Way::Socket(holder(&office.state()).and_then(|holder| holder.socket).expect("it listens"))
    }

    /// Its TCP port, as it has said, with its token.
    pub fn tcp(agent: &Agent) -> Way {
        agent.says("the API is at http://");
        let said = agent.said();
        let rest = said.split("the API is at http://").last().unwrap();
        let address = rest.split(';').next().unwrap().parse().unwrap();
        let file = rest.split("its token is in file ").nth(1).unwrap().lines().next().unwrap();
        Way::Tcp(address, std::fs::read_to_string(file).unwrap().trim().to_owned())
    }

    /// The same way with another token.
    pub fn with_token(&self, token: &str) -> Way {
        let Way::Tcp(address, _) = self else { panic!("a socket has no token") };
        Way::Tcp(*address, token.to_owned())
    }

    pub fn address(&self) -> SocketAddr {
        let Way::Tcp(address, _) = self else { panic!("a socket has no address") };
        *address
    }

    pub fn open(&self) -> Line {
        let stream: Box<dyn Stream> = match self {
            Way::Socket(path) => {
                let stream = UnixStream::connect(path).unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                Box::new(stream)
            }
            Way::Tcp(address, _) => {
                let stream = TcpStream::connect(address).unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                stream.set_nodelay(true).unwrap();
                Box::new(stream)
            }
        };
        Line { way: self.clone(), stream: BufReader::new(stream) }
    }

    /// One call on a connection of its own.
    pub fn call(&self, method: &str, target: &str, fields: &[(&str, &str)], body: &[u8]) -> Answer {
        self.open().call(method, target, fields, body).expect("an answer")
    }

    pub fn get(&self, target: &str) -> Answer {
        self.call("GET", target, &[], b"")
    }

    pub fn post(&self, target: &str, body: &str) -> Answer {
        self.call("POST", target, &[("Content-Type", "application/json")], body.as_bytes())
    }
}

impl Line {
    /// The head of a request, with what the way needs.
    pub fn head(&self, method: &str, target: &str, fields: &[(&str, &str)]) -> String {
        let has = |name: &str| fields.iter().any(|(known, _)| known.eq_ignore_ascii_case(name));
        let mut head = format!("{method} {target} HTTP/1.1\r\n");
        if !has("Host") {
            let host = match &self.way {
                Way::Socket(_) => "localhost".to_owned(),
                Way::Tcp(address, _) => address.to_string(),
            };
            head += &format!("Host: {host}\r\n");
        }
        if let (Way::Tcp(_, token), false) = (&self.way, has("Authorization"))
            && !token.is_empty()
        {
            head += &format!("Authorization: Bearer {token}\r\n");
        }
        for (name, value) in fields.iter().filter(|(_, value)| *value != "-") {
            head += &format!("{name}: {value}\r\n");
        }
        head
    }

    pub fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// One call; none when the other end breaks off.
    pub fn call(&mut self, method: &str, target: &str, fields: &[(&str, &str)], body: &[u8]) -> Option<Answer> {
        let head = format!("{}Content-Length: {}\r\n\r\n", self.head(method, target, fields), body.len());
        let mut request = head.into_bytes();
        request.extend_from_slice(body);
        // Who is refused early may not have been read to the end.
        let _ = self.write(&request);
        self.answer()
    }

    pub fn answer(&mut self) -> Option<Answer> {
        let mut head = String::new();
        loop {
            match self.stream.read_line(&mut head) {
                Ok(0) | Err(_) => return None,
                Ok(_) if head.ends_with("\r\n\r\n") => break,
                Ok(_) => {}
            }
        }
        let status = head.split(' ').nth(1)?.parse().ok()?;
        let lower = head.to_ascii_lowercase();
        let length = lower.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()?.parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        self.stream.read_exact(&mut body).ok()?;
        Some(Answer { status, head, body })
    }

    /// Whether the other end has hung up; waits for it.
    pub fn is_hung_up(&mut self) -> bool {
        let mut rest = Vec::new();
        match self.stream.read_to_end(&mut rest) {
            Ok(_) => true,
            Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
        }
    }

    /// The next message of a stream of events: its fields; none when the stream ends. Comments are passed over.
    pub fn message(&mut self) -> Option<Vec<(String, String)>> {
        let mut fields = Vec::new();
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line).ok()? == 0 {
                return None;
            }
            // Chunk sizes stand on lines of their own, ended as HTTP ends lines.
            if line.ends_with("\r\n") {
                continue;
            }
            let line = line.trim_end_matches('\n');
            match line.split_once(": ") {
                Some((name, value)) => fields.push((name.to_owned(), value.to_owned())),
                None if line.is_empty() && !fields.is_empty() => return Some(fields),
                None => {}
            }
        }
    }
}
