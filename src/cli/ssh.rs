//! `ssh scan HOST[:PORT]`.

use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::json;

use crate::adapter::place::{Class, Trouble};
use crate::adapter::sftp::{self, target::PORT};
use crate::cli::failure::{Code, Failure};
use crate::cli::place::Place;
use crate::cli::{Outcome, output};

/// How long a server may take to show one key.
const PATIENCE: Duration = Duration::from_secs(15);

/// Looks at an SSH server
#[derive(Debug, Args)]
pub struct Ssh {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Prints the host keys of a server, to be compared with what its administrator says
    Scan {
        /// Name or address; an IPv6 address with a port in brackets
        #[arg(value_name = "HOST[:PORT]")]
        host: String,
    },
}

/// Runs `ssh`. 69 when the server cannot be reached.
pub fn ssh(place: &Place, ssh: &Ssh) -> Outcome {
    let Verb::Scan { host } = &ssh.verb;
    let (host, port) = split(host).ok_or_else(|| {
        Failure::new(Code::Usage, format!("`{host}` is not HOST or HOST:PORT, with a port from 1 to 65535"))
    })?;
    let keys = sftp::scan(host, port, PATIENCE).map_err(|trouble| failure(&trouble))?;
    if place.json() {
        let keys: Vec<_> =
            keys.iter().map(|key| json!({ "type": key.algorithm, "fingerprint": key.fingerprint })).collect();
        output::json_line(&json!({ "host": host, "port": port, "keys": keys }))?;
    } else {
        let rows = keys.into_iter().map(|key| vec![key.algorithm, key.fingerprint]).collect();
        output::table(&["TYPE", "FINGERPRINT"], rows)?;
        if !place.quiet() {
            eprintln!(
                "whoever stands in between could have shown these: compare them with what the administrator says"
            );
        }
    }
    Ok(Code::Ok)
}

fn failure(trouble: &Trouble) -> Failure {
    let code = if trouble.class == Class::Connection { Code::Unavailable } else { Code::Failed };
    Failure::new(code, trouble.text.clone())
}

/// Host and port: `mvs`, `mvs:2222`, `::1`, `[::1]:2222`.
fn split(text: &str) -> Option<(&str, u16)> {
    let port = |text: &str| text.parse().ok().filter(|port| *port > 0);
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, PORT),
        Some((host, rest)) => (host, port(rest.strip_prefix(':')?)?),
        None => match text.split_once(':') {
            Some((_, rest)) if rest.contains(':') => (text, PORT),
            Some((host, rest)) => (host, port(rest)?),
            None => (text, PORT),
        },
    };
    (!host.is_empty()).then_some((host, port))
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn a_host_may_have_a_port() {
        assert_eq!(split("mvs"), Some(("mvs", 22)));
        assert_eq!(split("mvs:2222"), Some(("mvs", 2222)));
        assert_eq!(split("::1"), Some(("::1", 22)));
        assert_eq!(split("[::1]"), Some(("::1", 22)));
        assert_eq!(split("[::1]:2222"), Some(("::1", 2222)));
        for wrong in ["", ":22", "mvs:", "mvs:0", "mvs:65536", "mvs:x", "[::1]22", "[]:22"] {
            assert_eq!(split(wrong), None, "{wrong}");
        }
    }
}
