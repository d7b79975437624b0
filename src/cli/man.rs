//! `man`: the manual's pages, made from the command line's own help.

use std::path::PathBuf;

use clap::CommandFactory;
use clap_mangen::Man as Page;

use crate::cli::failure::{Code, Failure};
use crate::cli::{Outcome, output};

/// Writes the manual's page to stdout, or all of them into a folder
///
/// To read one: `hms-sync man | man -l -`. To install them: `hms-sync man --dir /usr/local/share/man/man1`.
#[derive(Debug, clap::Args)]
pub struct Man {
    /// The verb whose page it is; without one, that of the whole command
    verb: Vec<String>,
    /// Writes a page for each verb into this folder
    #[arg(long, value_name = "DIR", conflicts_with = "verb")]
    dir: Option<PathBuf>,
}

/// Runs `man` for the command line `C`.
pub fn man<C: CommandFactory>(man: &Man) -> Outcome {
    let mut command = C::command();
    command.build();
    match &man.dir {
        Some(folder) => {
            let cannot =
                |error| Failure::new(Code::CannotWrite, format!("{}: cannot be written: {error}", folder.display()));
            std::fs::create_dir_all(folder).map_err(cannot)?;
            clap_mangen::generate_to(command, folder).map_err(cannot)?;
        }
        None => {
            let mut chosen = command;
            for verb in &man.verb {
                let found = chosen.find_subcommand(verb).cloned();
                chosen = found.ok_or_else(|| {
                    let names: Vec<String> =
                        chosen.get_subcommands().map(|known| known.get_name().to_owned()).collect();
                    let hint = crate::rules::nearest::hint(verb, names.iter().map(String::as_str));
                    Failure::new(Code::Usage, format!("there is no verb `{verb}`{hint}"))
                })?;
            }
            let mut page = Vec::new();
            let cannot =
                |error: std::io::Error| Failure::new(Code::Failed, format!("the page cannot be made: {error}"));
            Page::new(chosen).render(&mut page).map_err(cannot)?;
            output::line(String::from_utf8_lossy(&page).trim_end())?;
        }
    }
    Ok(Code::Ok)
}
