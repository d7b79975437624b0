//! A connection for another protocol than HTTP: opened in the same way and under the same limits (names, addresses, proxy,
//! TLS, time), and used by one thread that waits.

use std::io;
use std::sync::Arc;

use rustix::net::sockopt::{set_socket_keepalive, set_tcp_keepidle};

use super::open::Opener;
use super::trouble::Trouble;
use super::wire::{Channel, Wire, trouble};
use super::{Client, KEEP, describe, plain_http};

/// One open connection.
pub struct Way {
    channel: Channel,
    wire: Arc<Wire>,
    /// Which version of the TLS settings it was opened with.
    generation: u64,
}

impl Client {
    /// A connection to a host; the time of a whole call begins with it.
    pub(in crate::adapter) fn open(&self, host: &str, port: u16, tls: bool) -> Result<Way, Trouble> {
        let settings = &self.settings;
        if !tls && !settings.plain {
            return Err(plain_http());
        }
        let (generation, wire) = (settings.tls.generation(), Arc::new(Wire::new()));
        wire.begin(settings.timeout, 0);
        let opener = Opener { settings: Arc::clone(settings), wire: Arc::clone(&wire), wary: false };
        let channel = opener.open(host, port, tls)?;
        // A connection that is kept for long must be noticed when it has died on its way.
        let stream = channel.stream();
        let _ = set_socket_keepalive(stream, true).and_then(|()| set_tcp_keepidle(stream, KEEP));
        Ok(Way { channel, wire, generation })
    }

    /// Whether a kept connection can carry another call, whose time then begins: neither the target nor a change of the TLS settings
    /// has ended it.
    pub(in crate::adapter) fn takes(&self, way: &mut Way) -> bool {
        let fit = way.generation == self.settings.tls.generation() && way.channel.is_fit();
        if fit {
            way.wire.begin(self.settings.timeout, 0);
        }
        fit
    }
}

impl Way {
    /// Writes all of it.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Trouble> {
        self.channel.write_all(bytes).map_err(|error| trouble(&error, false))
    }

    /// Reads what has come, and waits for it; 0 = the target has ended the connection.
    pub fn read(&mut self, into: &mut [u8]) -> Result<usize, Trouble> {
        match self.channel.read(into) {
            Ok(count) => Ok(count),
            // Whoever leaves TLS out at the end says no less than who closes plainly.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
            Err(error) => Err(trouble(&error, false)),
        }
    }

    /// What there is to say of it, for people.
    pub fn describe(&self) -> String {
        describe(&self.channel, ", without encryption")
    }

    /// Whether bytes of this call may have reached the target.
    pub fn has_sent(&self) -> bool {
        self.wire.sent() > 0
    }
}
