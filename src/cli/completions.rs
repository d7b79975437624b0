//! `completions SHELL`.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::cli::failure::Code;
use crate::cli::{Outcome, output};

/// Writes the completions of a shell to stdout
#[derive(Debug, clap::Args)]
pub struct Completions {
    /// Which shell
    shell: Shell,
}

/// Runs `completions`: the script of the command line `C`.
pub fn completions<C: CommandFactory>(completions: &Completions) -> Outcome {
    let mut command = C::command();
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(completions.shell, &mut command, name, &mut script);
    output::line(String::from_utf8_lossy(&script).trim_end())?;
    Ok(Code::Ok)
}
