//! The host keys of a server, for a person to compare.

use std::time::Duration;

use russh::Disconnect;

use crate::adapter::place::{Class, Trouble};
use crate::adapter::sftp::guard::Pins;
use crate::adapter::sftp::session::Own;
use crate::adapter::sftp::target::{Identity, Known, Target, Times};
use crate::adapter::sftp::{HostKey, ssh, via};

/// Asks for one kind of key after the other until the server has no more. No user is named.
pub(super) fn scan(host: &str, port: u16, patience: Duration) -> Result<Vec<HostKey>, Trouble> {
    let times = Times { connect: patience, operation: patience, ..Times::default() };
    // Old kinds too: this is for looking.
    let target = Target { port, times, legacy: true, ..Target::new(host, "", Identity::default(), Known::default()) };
    let own = Own::new()?;
    own.wait(async {
        let mut kinds = ssh::host_keys(true);
        let mut found: Vec<HostKey> = Vec::new();
        while !kinds.is_empty() {
            let stream = via::stream(&target).await?;
            match ssh::handshake(stream, &target, kinds.clone(), Pins::ANY).await {
                Ok((handle, Some(shown))) => {
                    kinds.retain(|kind| !ssh::same_kind(kind, &shown.algorithm));
                    found.push(shown.key);
                    let _ = handle.disconnect(Disconnect::ByApplication, "", "").await;
                }
                Err((trouble, _)) if found.is_empty() => return Err(trouble),
                Err((trouble, _)) if trouble.class != Class::Unsupported => return Err(trouble),
                _ => break,
            }
        }
        Ok(found)
    })
}
