//! `drop`: the files of file drops, and what a person does with them.

mod answers;
mod change;
mod preview;
mod show;

pub use show::table;

use std::path::PathBuf;

use crate::cli::Outcome;
use crate::cli::place::Place;

/// Lists, shows, previews and makes the files of drops
#[derive(Debug, clap::Args)]
pub struct Drop {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Lists all drops, or the files of one, newest first
    List(List),
    /// Shows a file: numbers, totals, outlets, lines
    Show(Show),
    /// Shows the file that would be cut now; changes nothing and sends nothing
    Preview(Preview),
    /// Cuts now, before the cut-off, and publishes
    Run(Run),
    /// Sends a file's bytes again, under its name, where they are not there
    Resend(Resend),
    /// Makes a file again from what was frozen at its cut, compares it, and writes it to a local path
    Regenerate(Regenerate),
    /// Lets held rows go with the next file
    Release(Release),
    /// Gives up a file that is not published, or held rows
    Discard(Discard),
    /// Lists the answers of the host that were read, newest first
    Acks(Acks),
    /// Takes note that an answer which was put aside is dealt with
    Dismiss(Dismiss),
    /// Takes a file for published of which nobody could say whether it arrived
    Accept(Which),
    /// Sets the number of the next file
    SetSequence(SetSequence),
}

#[derive(Debug, clap::Args)]
struct List {
    /// The drop
    drop: Option<String>,
    /// At most so many files
    #[arg(long, default_value_t = 30, value_name = "N")]
    limit: usize,
}

#[derive(Debug, clap::Args)]
struct Show {
    /// The drop
    drop: String,
    /// The file: its number, its business date, its name, or `file:N`
    file: String,
    /// At most so many lines
    #[arg(long, default_value_t = 100, value_name = "N")]
    limit: usize,
}

#[derive(Debug, clap::Args)]
struct Acks {
    /// The drop
    drop: String,
    /// At most so many
    #[arg(long, default_value_t = 30, value_name = "N")]
    limit: usize,
}

#[derive(Debug, clap::Args)]
struct Dismiss {
    /// The drop
    drop: String,
    /// The answer: its name, or the first digits of its SHA-256
    answer: String,
    #[command(flatten)]
    why: Why,
}

#[derive(Debug, clap::Args)]
struct Preview {
    /// The drop
    drop: String,
    /// Writes the file's bytes here, instead of showing what they mean
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    /// The business date [default: that of the next cut-off]
    #[arg(long, value_name = "DATE")]
    bus_date: Option<String>,
}

#[derive(Debug, clap::Args)]
struct Run {
    /// The drop
    drop: String,
    /// The business date [default: that of the next cut-off]
    #[arg(long, value_name = "DATE")]
    bus_date: Option<String>,
    #[command(flatten)]
    why: Why,
}

#[derive(Debug, clap::Args)]
struct Resend {
    #[command(flatten)]
    which: Which,
    /// Only at this outlet
    #[arg(long, conflicts_with = "as_new")]
    outlet: Option<String>,
    /// Makes a new file, with a number of its own, of its lines
    #[arg(long)]
    as_new: bool,
    /// With --as-new: only the lines of these records, as `drop show` names them
    #[arg(long, requires = "as_new", value_name = "RECORD")]
    record: Vec<String>,
}

#[derive(Debug, clap::Args)]
struct Regenerate {
    /// The drop
    drop: String,
    /// The file: its number, its business date, its name, or `file:N`
    file: String,
    /// Where to write it; needed but for a dry run, which only compares
    #[arg(long, value_name = "FILE", required_unless_present = "dry_run")]
    to: Option<PathBuf>,
    #[command(flatten)]
    why: Why,
}

#[derive(Debug, clap::Args)]
struct Release {
    /// The drop
    drop: String,
    /// Events, as `deliveries list` names them [default: all that are held]
    events: Vec<String>,
    #[command(flatten)]
    why: Why,
}

#[derive(Debug, clap::Args)]
struct Discard {
    /// The drop
    drop: String,
    /// A file: its number, its business date, its name, or `file:N`
    #[arg(required_unless_present = "event")]
    file: Option<String>,
    /// A held row instead, by its event as `deliveries list` names it
    #[arg(long, conflicts_with = "file", value_name = "EVENT")]
    event: Vec<String>,
    #[command(flatten)]
    why: Why,
}

/// A file, and why
#[derive(Debug, clap::Args)]
struct Which {
    /// The drop
    drop: String,
    /// The file: its number, its business date, its name, or `file:N`
    file: String,
    #[command(flatten)]
    why: Why,
}

#[derive(Debug, clap::Args)]
struct SetSequence {
    /// The drop
    drop: String,
    /// The number of the next file
    seq: u64,
    /// Also a number that a file has already
    #[arg(long)]
    again: bool,
    #[command(flatten)]
    why: Why,
}

/// Why something is done, and whether
#[derive(Debug, clap::Args)]
struct Why {
    /// Why; kept in the audit
    #[arg(long)]
    reason: Option<String>,
    /// Only says what would be done
    #[arg(long)]
    dry_run: bool,
}

/// Runs `drop`.
pub fn drop(place: &Place, drop: Drop) -> Outcome {
    match drop.verb {
        Verb::List(List { drop: None, .. }) => show::all(place),
        Verb::List(List { drop: Some(drop), limit }) => show::files(place, &drop, limit),
        Verb::Show(which) => show::file(place, &which.drop, &which.file, which.limit),
        Verb::Preview(look) => preview::preview(place, &look.drop, look.bus_date.as_deref(), look.to.as_deref()),
        Verb::Regenerate(again) => preview::regenerate(place, again),
        Verb::Run(run) => change::run(place, run),
        Verb::Resend(resend) => change::resend(place, resend),
        Verb::Release(release) => change::release(place, release),
        Verb::Discard(discard) => change::discard(place, discard),
        Verb::Acks(which) => answers::acks(place, &which.drop, which.limit),
        Verb::Dismiss(dismiss) => answers::dismiss(place, dismiss),
        Verb::Accept(which) => change::accept(place, which),
        Verb::SetSequence(set) => change::set_sequence(place, set),
    }
}
