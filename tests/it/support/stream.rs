//! A server's end of a connection, plain or TLS, with the ways to end it badly.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// One accepted connection.
pub enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ServerConnection, TcpStream>>),
}

impl Stream {
    /// Does the handshake.
    pub fn tls(socket: TcpStream, config: Arc<ServerConfig>) -> io::Result<Stream> {
        let mut session = ServerConnection::new(config).map_err(io::Error::other)?;
        let mut socket = socket;
        while session.is_handshaking() {
            session.complete_io(&mut socket)?;
        }
        Ok(Stream::Tls(Box::new(StreamOwned::new(session, socket))))
    }

    fn socket(&self) -> &TcpStream {
        match self {
            Stream::Plain(socket) => socket,
            Stream::Tls(stream) => &stream.sock,
        }
    }

    /// Ends with a reset: the peer may not even get what was sent before.
    pub fn reset(self) {
        reset(self.socket());
    }

    /// Says that it ends: close_notify, then FIN. [`Stream::hang`] afterwards, so that it does not turn into a reset.
    pub fn close(&mut self) {
        if let Stream::Tls(stream) = self {
            stream.conn.send_close_notify();
            let _ = stream.flush();
        }
        self.cut();
    }

    /// Ends the TCP connection without close_notify, as a cut does.
    pub fn cut(&mut self) {
        let _ = self.socket().shutdown(Shutdown::Write);
    }

    /// Says nothing until the peer gives up; reads what still comes.
    pub fn hang(mut self) {
        let mut sink = [0; 4096];
        while matches!(self.read(&mut sink), Ok(count) if count > 0) {}
    }

    /// One byte at a time until the peer gives up.
    pub fn drip(mut self, bytes: &[u8], pause: Duration) {
        for byte in bytes.iter().cycle() {
            if self.write_all(&[*byte]).and_then(|()| self.flush()).is_err() {
                return;
            }
            std::thread::sleep(pause);
        }
    }
}

/// SO_LINGER 0, then close.
pub fn reset(socket: &TcpStream) {
    let _ = rustix::net::sockopt::set_socket_linger(socket, Some(Duration::ZERO));
}

impl Read for Stream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(socket) => socket.read(into),
            Stream::Tls(stream) => stream.read(into),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(socket) => socket.write(bytes),
            Stream::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Stream::Plain(socket) => socket.flush(),
            Stream::Tls(stream) => stream.flush(),
        }
    }
}
