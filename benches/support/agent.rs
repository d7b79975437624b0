//! The shipped binary with a folder of its own: configuration, the application's file, state.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::office;
use super::process::{Cores, Running};

/// The binary.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_hms-sync");

/// Writes the configuration: the office's table goes to `port` on this machine, by so many connectors.
pub fn configure(folder: &Path, authority: &Path, port: u16, flight: usize, connectors: usize) {
    let watch = "database: office.db\nstate: state/state.db\noffice: BENCH\nwatch: {appointments: {}}\ngovernance: {default: public}\n";
    std::fs::write(folder.join("sync.yaml"), watch).unwrap();
    std::fs::create_dir_all(folder.join("connectors")).unwrap();
    let mut map = String::new();
    for (column, name) in office::NAMES {
        writeln!(map, "  {column}: {name}").unwrap();
    }
    for number in 0..connectors {
        let connector = format!(
            "listen: appointments\ntarget:\n  url: https://127.0.0.1:{port}/appointments\n  method: POST\n  tls: {{ca: {}}}\n\
             concurrency: {flight}\nstart: beginning\nmap:\n{map}",
            authority.join("ca.pem").display()
        );
        std::fs::write(folder.join(format!("connectors/target-{number}.yaml")), connector).unwrap();
    }
}

/// Has the table watched, and what is in it known, before the application writes on.
pub fn prepare(folder: &Path) {
    for verb in [vec!["watch", "appointments"], vec!["run", "--once"]] {
        let done = Command::new(PROGRAM).arg("--quiet").arg("--config").arg(folder).args(&verb).output().unwrap();
        assert!(done.status.success(), "{verb:?}: {}", String::from_utf8_lossy(&done.stderr));
    }
}

/// Starts the agent.
pub fn start(folder: &Path, cores: Cores) -> Running {
    let log = std::fs::File::create(folder.join("agent.log")).unwrap();
    let mut command = cores.command(&PathBuf::from(PROGRAM), false);
    command.arg("--config").arg(folder).arg("run").stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    Running(command.spawn().unwrap())
}
