//! One record, delivered now, beside whatever agent runs.
//!
//! `cargo run --example one -- CONFIG SYSTEM TYPE ID`

use std::io::Write as _;

use hms_sync::{ExternalSync, Status};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [config, system, kind, id] = &*arguments else {
        return Err("which? CONFIG SYSTEM TYPE ID".into());
    };
    let sync = ExternalSync::open(config)?;
    match sync.sync(system, kind, id)? {
        Status::Success => writeln!(std::io::stdout(), "{system} has it")?,
        Status::Failed { reason } => return Err(reason.into()),
    }
    Ok(())
}
