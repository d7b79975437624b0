//! A program of the site's own: the notice on its standard input, nothing else of ours around it.

use std::io::Write as _;
use std::time::Duration;

use super::Channel;
use crate::adapter::program::{self, Running};
use crate::format::notice::Notice;
use crate::rules::outcome::Reason;

/// How long a program may take unless the configuration says otherwise,
pub const USUAL: Duration = Duration::from_secs(30);
/// and at most.
pub const LONGEST: Duration = Duration::from_secs(300);

/// Variables of our environment that a program is given beside `PATH`; what else stands there may be a secret.
const GIVEN: [&str; 4] = ["HOME", "LANG", "LC_ALL", "TZ"];

/// A program. It has told the notice when it ends with 0.
#[derive(Debug)]
pub struct Program {
    command: Vec<String>,
    timeout: Duration,
}

impl Program {
    /// Program and arguments, and how long it may take.
    pub fn new(command: Vec<String>, timeout: Duration) -> Program {
        Program { command, timeout }
    }

    fn start(&self) -> Result<Running, String> {
        let (program, arguments) = self.command.split_first().ok_or("it names no program")?;
        let mut command = program::command(program, arguments);
        command.envs(GIVEN.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        Running::start(command).map_err(|error| format!("cannot be started: {error}"))
    }
}

impl Channel for Program {
    fn tell(&self, notice: &Notice) -> Result<(), Reason> {
        let name = self.command.first().map_or("", String::as_str);
        let failed = |why: String| Reason::new("exec", format!("{name}: {why}"));
        let mut running = self.start().map_err(failed)?;
        let (json, stdin) = (notice.json(), running.pipes().stdin.take());
        // It need not read what it is given, and need not end.
        let write = move || stdin.map(|mut stdin| stdin.write_all(json.as_bytes()));
        let writing = std::thread::Builder::new().name("alert/exec".into()).spawn(write);
        writing.map_err(|error| failed(format!("no thread could be started: {error}")))?;
        let in_time = running.ends_within(self.timeout);
        match running.finish() {
            _ if !in_time => Err(failed(format!("it did not end within {} s, and was killed", self.timeout.as_secs()))),
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(failed(format!("it ended with {status}"))),
            Err(error) => Err(failed(format!("it was lost: {error}"))),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::format::notice::tests::of;
    use crate::rules::alert::Step;

    fn shell(text: &str, timeout: Duration) -> Result<(), Reason> {
        let command = ["sh", "-c", text].map(str::to_owned).to_vec();
        Program::new(command, timeout).tell(&of("legacy", Step::Opened))
    }

    #[test]
    fn a_program_is_given_the_notice_and_nothing_of_our_environment() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        shell(&format!("cat > {0}; env >> {0}", path.display()), USUAL).unwrap();
        let said = std::fs::read_to_string(path).unwrap();
        assert!(said.starts_with("{\"version\":1,") && said.contains("dead-letters"), "{said}");
        assert!(!said.contains("CARGO"), "{said}");
    }

    #[test]
    fn a_program_that_fails_hangs_or_reads_nothing_is_told_of_and_ends() {
        assert_eq!(shell("exit 3", USUAL).unwrap_err().to_string(), "exec: sh: it ended with exit status: 3");
        let began = Instant::now();
        let hangs = shell("sleep 600 & sleep 600", Duration::from_millis(200)).unwrap_err();
        assert!(hangs.text.contains("was killed") && began.elapsed() < Duration::from_secs(60), "{hangs}");
        assert!(shell("exec <&-; exit 0", USUAL).is_ok());
        let nowhere = Program::new(vec!["/no/such".to_owned()], USUAL).tell(&of("x", Step::Test)).unwrap_err();
        assert!(nowhere.text.contains("cannot be started"), "{nowhere}");
    }
}
