//! An http proxy that knows CONNECT.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A running proxy.
pub struct ConnectProxy {
    address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    heads: Vec<String>,
    answer: Option<Vec<u8>>,
}

impl ConnectProxy {
    /// Lets everything through.
    pub fn start() -> ConnectProxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared: Arc<Mutex<Shared>> = Arc::default();
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let shared = Arc::clone(&accepting);
                std::thread::spawn(move || serve(socket, &shared));
            }
        });
        ConnectProxy { address, shared }
    }

    /// `http://host:port`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on this is answered and nothing let through.
    pub fn answer(&self, bytes: &[u8]) {
        self.shared.lock().unwrap().answer = Some(bytes.to_vec());
    }

    /// The heads of the requests so far.
    pub fn heads(&self) -> Vec<String> {
        self.shared.lock().unwrap().heads.clone()
    }
}

fn serve(mut client: TcpStream, shared: &Mutex<Shared>) -> io::Result<()> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        client.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let target = head.split(' ').nth(1).unwrap().to_owned();
    let answer = {
        let mut shared = shared.lock().unwrap();
        shared.heads.push(head);
        shared.answer.clone()
    };
    if let Some(answer) = answer {
        return client.write_all(&answer);
    }
    let server = TcpStream::connect(target)?;
    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
    let (mut from, mut to) = (client.try_clone()?, server.try_clone()?);
    std::thread::spawn(move || {
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
    let (mut from, mut to) = (server, client);
    let _ = io::copy(&mut from, &mut to);
    to.shutdown(Shutdown::Write)
}
