//! GnuCOBOL, the second witness.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What stands in columns 73 to 80 of some lines.
pub const NUMBERED: &str = "WIC00010";

/// A folder with a program and what it copies and reads.
pub struct Cobol {
    folder: tempfile::TempDir,
}

impl Cobol {
    pub fn new() -> Cobol {
        Cobol { folder: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.path(name), bytes).unwrap();
    }

    /// Compiles `program` (free format when it says so) and gives what it prints.
    #[track_caller]
    pub fn run(&self, name: &str, program: &str, free: bool) -> Vec<String> {
        let source = format!("{name}.cob");
        self.write(&source, program);
        if !free {
            let long = program.lines().find(|line| line.chars().count() > 72 && !line.ends_with(NUMBERED));
            assert_eq!(long, None, "a line past column 72 is cut without a word");
        }
        let mut compile = Command::new("cobc");
        compile.args(["-x", "-std=ibm", "-fsign=EBCDIC", "-fassign-clause=dynamic", "-w", "-o", name, &source]);
        if free {
            compile.arg("-free");
        }
        said(&mut compile, self.folder.path());
        said(&mut Command::new(self.path(name)), self.folder.path())
            .lines()
            .map(|line| line.trim_end().to_owned())
            .collect()
    }
}

#[track_caller]
fn said(command: &mut Command, folder: &Path) -> String {
    let output = command.current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    // What is printed may be Latin 1.
    output.stdout.iter().map(|byte| char::from(*byte)).collect()
}
