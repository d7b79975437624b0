//! Who calls.

use std::net::SocketAddr;
use std::sync::Arc;

/// Who is at the other end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Caller {
    /// A process of this user (SO_PEERCRED) on the unix socket; none when the system does not say.
    Peer(Option<u32>),
    /// Somebody on the TCP port with this address.
    Tcp(SocketAddr),
    /// The status page, opened by somebody who has signed in.
    Page(Page),
}

/// A page of somebody's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Page {
    /// Whose code it was.
    pub(super) who: Arc<str>,
    /// The port it came by.
    pub(super) port: u16,
}

/// Where the system lists its users (passwd(5)).
const USERS: &str = "/etc/passwd";

impl Caller {
    /// The name that goes into the audit. `claimed` is what the caller says of itself: it counts only from root, who could
    /// be anybody anyway, so that an operator who used `sudo` is named.
    pub(super) fn name(&self, claimed: Option<&str>) -> String {
        match self {
            Caller::Page(page) => format!("{} (page)", page.who),
            Caller::Tcp(_) => "api token".to_owned(),
            Caller::Peer(None) => "api".to_owned(),
            Caller::Peer(Some(0)) => match claimed.filter(|name| !name.is_empty() && !name.starts_with("uid ")) {
                Some(name) if name != "root" => format!("{} (root)", name.escape_default()),
                _ => "root".to_owned(),
            },
            Caller::Peer(Some(uid)) => {
                let users = std::fs::read_to_string(USERS).unwrap_or_default();
                user(&users, *uid).map_or_else(|| format!("uid {uid}"), str::to_owned)
            }
        }
    }

    /// What its session's cookie is called. Cookies know no ports: two agents of one machine must not share one.
    pub(super) fn cookie(&self) -> String {
        let port = match self {
            Caller::Peer(_) => 0,
            Caller::Tcp(address) => address.port(),
            Caller::Page(page) => page.port,
        };
        format!("hms-sync-{port}")
    }
}

/// The user with this number.
fn user(users: &str, uid: u32) -> Option<&str> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, number) = (fields.next()?, fields.nth(1)?);
        (number.parse() == Ok(uid) && !name.is_empty()).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_number_and_only_root_may_name_somebody_else() {
        let users = "root:x:0:0:root:/root:/bin/sh\nbroken\nann:x:1000:1000::/home/ann:/bin/sh\n";
        assert_eq!(user(users, 1000), Some("ann"));
        assert_eq!(user(users, 7), None);
        assert_eq!(Caller::Peer(Some(0)).name(Some("ann")), "ann (root)");
        assert_eq!(Caller::Peer(Some(0)).name(Some("uid 0")), "root");
        assert_eq!(Caller::Peer(Some(u32::MAX)).name(Some("root")), format!("uid {}", u32::MAX));
    }
}
