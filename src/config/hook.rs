//! `hook:` of `governance:` or of a connector: who else is asked about each payload.

use std::path::PathBuf;
use std::time::Duration;

use crate::adapter::hook::Hook;
use crate::adapter::tls::TlsFiles;
use crate::config::found::Found;
use crate::config::settings::Scope;
use crate::config::tls;
use crate::config::url::{self, Use};

/// A hook as its section describes it.
#[derive(Clone, Debug)]
pub struct HookSpec {
    /// How it is asked.
    pub way: HookWay,
    /// For an answer; default [`Hook::TIMEOUT`].
    pub timeout: Duration,
}

/// How a hook is asked.
#[derive(Clone, Debug)]
pub enum HookWay {
    /// `url`: a call for each payload.
    Url {
        /// The address; https, or plain http to this machine.
        url: String,
        /// It is plain http.
        plain: bool,
        /// How the agent shows who it is: a name in `credentials:`.
        credential: Option<String>,
        /// Proxy; none = straight.
        proxy: Option<String>,
        /// TLS beyond the system's trust store.
        tls: TlsFiles,
        /// Calls at once; default [`Hook::CONCURRENCY`].
        concurrency: usize,
    },
    /// `exec`: a program that is started once and answers line by line.
    Exec {
        /// Absolute path.
        program: PathBuf,
        /// Its arguments.
        arguments: Vec<String>,
    },
}

/// Longest time for an answer: an agent that stops does not wait longer for one that is under way.
const LONGEST: Duration = Duration::from_secs(60);

/// Reads a hook.
pub(crate) fn hook(found: &Found<'_>, scope: &Scope) -> Option<HookSpec> {
    let fields = found.fields()?;
    let timeout = match fields.take("timeout") {
        None => Some(Hook::TIMEOUT),
        Some(found) => found.duration().and_then(|length| {
            if length > LONGEST {
                found.error("is longer than a minute");
            }
            (length <= LONGEST).then_some(length)
        }),
    };
    let way = match (fields.take("url"), fields.take("exec")) {
        (Some(_), Some(exec)) => {
            exec.error_hint("stands beside `url`", "leave one of the two out");
            None
        }
        (Some(found), None) => {
            let address = url::check(&found, Use::Https);
            let credential = fields.take("credentialsId");
            let named = credential.as_ref().map(|found| scope.credential(found).map(|(name, _)| name));
            let proxy = fields.take("proxy").and_then(|found| url::check(&found, Use::Proxy));
            let tls = fields.take("tls").and_then(|found| tls::files(&found)).unwrap_or_default();
            let concurrency = fields.take("concurrency").map(|found| found.integer(1..=64));
            let concurrency = concurrency.map_or(Some(Hook::CONCURRENCY), |count| usize::try_from(count?).ok());
            address.zip(concurrency).and_then(|(url, concurrency)| {
                let plain = url.to_ascii_lowercase().starts_with("http:");
                let credential = named.map_or(Some(None), |named| named.map(Some))?;
                Some(HookWay::Url { url, plain, credential, proxy, tls, concurrency })
            })
        }
        (None, Some(found)) => {
            fields.know(&["credentialsId", "proxy", "tls", "concurrency"]);
            for key in ["credentialsId", "proxy", "tls", "concurrency"] {
                if let Some(found) = fields.take(key) {
                    found.error_hint("belongs to a `url`, and this hook is a program", "leave it out");
                }
            }
            exec(&found)
        }
        (None, None) => {
            fields.know(&["credentialsId", "proxy", "tls", "concurrency"]);
            found.error_hint("says neither `url` nor `exec`", "write `url: https://...` or `exec: [/path/program]`");
            None
        }
    };
    fields.done();
    Some(HookSpec { way: way?, timeout: timeout? })
}

fn exec(found: &Found<'_>) -> Option<HookWay> {
    let mut words = found.texts()?;
    let program = PathBuf::from(words.remove(0));
    if !program.is_absolute() {
        found.error_hint("does not begin with the full path of a program", "write for example [/usr/local/bin/gate]");
        return None;
    }
    Some(HookWay::Exec { program, arguments: words })
}
