//! Names to addresses that may be connected to: one lookup at a time for each name, a short memory, and a check that
//! keeps the agent from being turned against its own machine's neighbourhood (SSRF).

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::trouble::Trouble;

/// How long an answer of the name service is used for further connections. Short, because an office moves its
/// services by name; not zero, so that many lanes that connect at once ask once.
pub const MEMORY: Duration = Duration::from_secs(5);

/// Looks names up; shared by all lanes of a client.
#[derive(Debug, Default)]
pub struct Resolver {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    names: Mutex<HashMap<(String, u16), Entry>>,
    changed: Condvar,
}

#[derive(Debug)]
enum Entry {
    /// A thread is asking. `getaddrinfo` cannot be broken off, so a name has at most one such thread.
    Asking,
    Known(Vec<SocketAddr>, Instant),
    Failed(String),
}

impl Resolver {
    /// The addresses of a host that may be connected to, at least one; waits until `deadline` at the longest.
    ///
    /// `host` is a name, an IPv4 address, or an IPv6 address with or without brackets.
    pub fn resolve(&self, host: &str, port: u16, deadline: Instant) -> Result<Vec<SocketAddr>, Trouble> {
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let found = match bare.parse::<IpAddr>() {
            Ok(address) => vec![SocketAddr::new(address, port)],
            Err(_) => self.look_up(bare, port, deadline)?,
        };
        let mut refused = "nothing";
        let allowed: Vec<_> = found
            .into_iter()
            .filter(|address| forbidden(address.ip()).inspect(|kind| refused = kind).is_none())
            .collect();
        if allowed.is_empty() {
            return Err(Trouble::halt(
                "address",
                format!("{host} resolves to {refused}, which is never connected to; check the url"),
            ));
        }
        Ok(allowed)
    }

    /// Forgets a name, when none of its addresses answered.
    pub fn forget(&self, host: &str, port: u16) {
        let mut names = self.shared.lock();
        if let Some(Entry::Known(..)) = names.get(&(host.to_owned(), port)) {
            names.remove(&(host.to_owned(), port));
        }
    }

    fn look_up(&self, host: &str, port: u16, deadline: Instant) -> Result<Vec<SocketAddr>, Trouble> {
        let key = (host.to_owned(), port);
        let mut names = self.shared.lock();
        match names.get(&key) {
            Some(Entry::Known(found, at)) if at.elapsed() < MEMORY => return Ok(found.clone()),
            Some(Entry::Asking) => {}
            _ => {
                names.insert(key.clone(), Entry::Asking);
                let (shared, key) = (Arc::clone(&self.shared), key.clone());
                let asked = std::thread::Builder::new().name("resolve".to_owned()).spawn(move || shared.ask(key));
                if let Err(error) = asked {
                    names.remove(&(host.to_owned(), port));
                    return Err(Trouble::passing("dns", format!("no thread to look {host} up: {error}")));
                }
            }
        }
        loop {
            match names.get(&key) {
                Some(Entry::Known(found, _)) => return Ok(found.clone()),
                Some(Entry::Failed(why)) => {
                    return Err(Trouble::passing("dns", format!("{host} cannot be resolved: {why}")));
                }
                Some(Entry::Asking) => {}
                // Another lane has forgotten it meanwhile: its addresses did not answer.
                None => return Err(Trouble::passing("dns", format!("{host} was looked up but does not answer"))),
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Trouble::passing("dns", format!("the name service did not answer for {host} in time")));
            }
            let waited = self.shared.changed.wait_timeout(names, left);
            names = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, HashMap<(String, u16), Entry>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask(&self, key: (String, u16)) {
        let entry = match (key.0.as_str(), key.1).to_socket_addrs().map(Vec::from_iter) {
            Ok(found) if !found.is_empty() => Entry::Known(found, Instant::now()),
            Ok(_) => Entry::Failed("no address".to_owned()),
            Err(error) => Entry::Failed(error.to_string()),
        };
        self.lock().insert(key, entry);
        self.changed.notify_all();
    }
}

/// Whether an address is of this machine or of a private network (RFC 1918, 6598, 4193).
pub(super) fn is_inside(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let [first, second, ..] = address.octets();
            address.is_loopback() || address.is_private() || (first == 100 && second & 0xc0 == 64)
        }
        IpAddr::V6(address) => address.is_loopback() || address.segments()[0] & 0xfe00 == 0xfc00,
    }
}

/// Why an address is never connected to, whatever the configuration says. Private and loopback addresses are fine:
/// the administrator named that very host.
pub fn forbidden(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => forbidden_v4(address),
        IpAddr::V6(address) => forbidden_v6(address),
    }
}

fn forbidden_v4(address: Ipv4Addr) -> Option<&'static str> {
    if address.octets()[0] == 0 {
        Some("an unspecified address")
    } else if address.is_link_local() {
        Some("a link-local address (the range of cloud metadata services)")
    } else if address.is_multicast() || address.is_broadcast() {
        Some("a multicast address")
    } else {
        None
    }
}

fn forbidden_v6(address: Ipv6Addr) -> Option<&'static str> {
    /// The metadata service that some clouds offer at a unique local address.
    const METADATA: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
    let parts = address.segments();
    if address.is_unspecified() {
        Some("an unspecified address")
    } else if address.is_multicast() {
        Some("a multicast address")
    } else if address.is_unicast_link_local() || address == METADATA {
        Some("a link-local address (the range of cloud metadata services)")
    } else if address.to_ipv4_mapped().is_some() {
        Some("an IPv4 address in IPv6 clothes")
    } else if parts[..6] == [0x64, 0xff9b, 0, 0, 0, 0] {
        // NAT64 (RFC 6052): the IPv4 address behind it decides.
        let [a, b] = parts[6].to_be_bytes();
        let [c, d] = parts[7].to_be_bytes();
        forbidden_v4(Ipv4Addr::new(a, b, c, d))
    } else {
        None
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(10)
    }

    #[test]
    fn dangerous_addresses_are_refused_in_every_form() {
        for bad in [
            "169.254.169.254",
            "0.0.0.0",
            "0.1.2.3",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "ff02::1",
            "fe80::1",
            "fd00:ec2::254",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::ffff:10.0.0.1",
            "64:ff9b::a9fe:a9fe",
        ] {
            assert!(forbidden(bad.parse().unwrap()).is_some(), "{bad}");
            let trouble = Resolver::default().resolve(&format!("[{bad}]"), 443, soon()).unwrap_err();
            assert_eq!(trouble.reason.class, "address");
        }
    }

    #[test]
    fn loopback_and_private_addresses_are_the_administrators_choice() {
        for good in ["127.0.0.1", "::1", "10.0.0.1", "192.168.1.1", "172.16.0.1", "fd12::1", "93.184.216.34"] {
            assert_eq!(forbidden(good.parse().unwrap()), None, "{good}");
        }
        assert_eq!(
            Resolver::default().resolve("[::1]", 8443, soon()).unwrap(),
            vec!["[::1]:8443".parse::<SocketAddr>().unwrap()]
        );
    }

    #[test]
    fn a_name_that_does_not_exist_is_a_passing_trouble_and_is_asked_again() {
        let resolver = Resolver::default();
        for _ in 0..2 {
            let trouble = resolver.resolve("no-such-host.invalid", 443, soon()).unwrap_err();
            assert_eq!(trouble.reason.class, "dns");
            assert!(!trouble.halt);
        }
    }

    #[test]
    fn lanes_that_ask_at_once_share_one_lookup() {
        let resolver = Arc::new(Resolver::default());
        let lanes: Vec<_> = (0..8)
            .map(|_| {
                let resolver = Arc::clone(&resolver);
                std::thread::spawn(move || resolver.resolve("localhost", 443, soon()).unwrap())
            })
            .collect();
        for lane in lanes {
            assert!(lane.join().unwrap().iter().all(|address| address.ip().is_loopback()));
        }
        assert_eq!(resolver.shared.lock().len(), 1);
    }
}
