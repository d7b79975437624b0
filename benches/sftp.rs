//! Files over SFTP: an upload on loopback, connecting included; the floor is OpenSSH's own `sftp` with the same file,
//! server and key. Files are in memory, so that the disk has no part in it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use hms_sync::adapter::place::{Name, Opening};
use hms_sync::adapter::sftp;
use hms_sync::adapter::sftp::target::Target;
use serde_json::{Value, json};

use crate::Arguments;
use crate::support::figures::{median, paired, print};

#[allow(dead_code)]
#[path = "../tests/it/support/sshd.rs"]
mod sshd;

/// Megabytes of the file.
const SIZE: usize = 256;

/// Measures and prints.
pub fn run(arguments: &Arguments) -> Value {
    let rounds = arguments.rounds.unwrap_or(if arguments.long { 21 } else { 7 });
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
    let file = folder.path().join("file");
    let line = b"OF042 an appointment as a record of a fixed length, in a file for the night 0123456789\n";
    fs::write(&file, line.repeat(SIZE * 1_000_000 / line.len())).unwrap();
    let server = sshd::Sshd::start("");
    let target = Target { folder: folder.path().to_str().unwrap().to_owned(), ..server.target() };
    let (mut ours, mut floors) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        ours.push(speed(&file, || upload(&target, &file)));
        floors.push(speed(&file, || openssh(&server, &target, &file, &folder.path().join("theirs"))));
    }
    let ratio = paired(&ours, &floors);
    let row = |name: &str, values: &[f64]| vec![name.to_owned(), format!("{:.0} MB/s", median(values))];
    let rows = [
        row("floor: sftp of OpenSSH", &floors),
        row("the agent's upload", &ours),
        vec!["ratio, median of the rounds".to_owned(), format!("{ratio:.2}")],
    ];
    print(&format!("sftp: {SIZE} MB up on loopback, median of {rounds} (at least 0.9)"), &["", ""], &rows);
    json!({ "MB/s": ours, "floor MB/s": floors, "ratio": ratio })
}

fn speed(file: &Path, work: impl FnOnce()) -> f64 {
    let size = fs::metadata(file).unwrap().len() as f64 / 1e6;
    let started = Instant::now();
    work();
    size / started.elapsed().as_secs_f64()
}

fn upload(target: &Target, file: &Path) {
    let mut place = sftp::open(target).unwrap();
    place.create(Name::Final("ours"), Opening::Empty).unwrap();
    place.write(0, &mut File::open(file).unwrap(), &mut |_| ()).unwrap();
    place.sync().unwrap();
    place.close().unwrap();
}

fn openssh(server: &sshd::Sshd, target: &Target, file: &Path, there: &Path) {
    let batch: PathBuf = server.folder.path().join("batch");
    fs::write(&batch, format!("put {} {}\n", file.display(), there.display())).unwrap();
    let status = Command::new("sftp")
        .args(["-q", "-F", "none", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"])
        .args(["-o", "LogLevel=ERROR", "-P"])
        .arg(server.port.to_string())
        .arg("-i")
        .arg(server.folder.path().join("user"))
        .arg("-b")
        .arg(&batch)
        .arg(format!("{}@127.0.0.1", target.user))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
}
