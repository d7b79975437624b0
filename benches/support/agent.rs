//! The shipped binary with a folder of its own: configuration, the application's file, state.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::office;
use super::process::{Cores, Running};

/// The binary.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_hms-sync");

/// Where an agent delivers to, and by what.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// Folder of the authority.
    pub authority: &'a Path,
    /// Port on this machine.
    pub port: u16,
    /// No TLS.
    pub plain: bool,
    /// Requests in flight of each connector.
    pub flight: usize,
    /// Connectors; each sends everything.
    pub connectors: usize,
    /// Events a request, at most.
    pub batch: usize,
}

impl Target<'_> {
    /// Writes the configuration: the office's table goes there.
    pub fn configure(&self, folder: &Path) {
        // The cap is out of the way: what is measured is a backlog, not the valve.
        let settings = "database: office.db\nstate: state/state.db\noffice: BENCH\nwatch: {appointments: {}}\n\
                        governance: {default: public}\ncapture: {cap: 1000GiB}\n";
        std::fs::write(folder.join("sync.yaml"), settings).unwrap();
        std::fs::create_dir_all(folder.join("connectors")).unwrap();
        let mut map = String::new();
        for (column, name) in office::NAMES {
            writeln!(map, "  {column}: {name}").unwrap();
        }
        let way = if self.plain {
            format!("  url: http://127.0.0.1:{}/appointments\n  plainHttp: true\n", self.port)
        } else {
            let ca = self.authority.join("ca.pem");
            format!("  url: https://127.0.0.1:{}/appointments\n  tls: {{ca: {}}}\n", self.port, ca.display())
        };
        let batch = if self.batch > 1 { format!("batch: {{max: {}}}\n", self.batch) } else { String::new() };
        for number in 0..self.connectors {
            let connector = format!(
                "listen: appointments\ntarget:\n{way}  method: POST\nconcurrency: {}\n{batch}start: beginning\nmap:\n{map}",
                self.flight
            );
            std::fs::write(folder.join(format!("connectors/target-{number}.yaml")), connector).unwrap();
        }
    }
}

/// Writes the configuration: the office's table goes to `port` on this machine over TLS, by so many connectors.
pub fn configure(folder: &Path, authority: &Path, port: u16, flight: usize, connectors: usize) {
    Target { authority, port, plain: false, flight, connectors, batch: 1 }.configure(folder);
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
