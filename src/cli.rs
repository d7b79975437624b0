//! One file per verb group. People get a table, `--json` gets JSON; logs and progress go to stderr.

pub mod adapter;
pub mod alerts;
pub mod amend;
pub mod audit;
pub mod backfill;
pub mod backup;
pub mod capture;
pub mod check;
pub mod completions;
pub mod conflicts;
pub mod deliveries;
pub mod demo;
pub mod doctor;
pub mod drop;
pub mod failure;
pub mod follow;
pub mod gate;
pub mod init;
pub mod journal;
pub mod layout;
pub mod man;
pub mod order;
pub mod output;
pub mod past;
pub mod place;
pub mod prune;
pub mod record;
pub mod replay;
pub mod run;
pub mod scaffold;
mod sides;
pub mod simulate;
pub mod since;
pub mod snapshot;
pub mod ssh;
pub mod status;
pub mod sync;
pub mod tail;
mod test;
pub mod watch;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use failure::{Code, Failure};
use place::Place;

/// Keeps an office's SQLite data and the outside systems in step.
#[derive(Debug, Parser)]
#[command(
    name = "hms-sync",
    version,
    arg_required_else_help = true,
    propagate_version = true,
    infer_subcommands = false
)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    follow: follow::Follow,
}

/// What every verb understands.
#[derive(Clone, Debug, clap::Args)]
pub struct Global {
    /// Configuration: a folder or a file [default: $HMS_SYNC_CONFIG, else /etc/hms-sync, else the user's]
    #[arg(short, long, value_name = "PATH", global = true)]
    pub config: Option<PathBuf>,
    /// The application's SQLite file, instead of the configured one
    #[arg(short, long, value_name = "FILE", global = true)]
    pub database: Option<PathBuf>,
    /// One JSON document (or JSON lines) instead of a table
    #[arg(long, global = true)]
    pub json: bool,
    /// Say more
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Say only what is wrong
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Init(init::Init),
    Scaffold(scaffold::Scaffold),
    /// Shows it at work: an office, a legacy system and the agent, all made up and on this machine alone
    Demo(demo::Demo),
    /// Delivers until it is stopped, or once
    Run(run::Run),
    /// Captures changes of tables
    Watch(watch::Watch),
    /// Captures a table's changes no more
    Unwatch(watch::Unwatch),
    /// Pauses, resumes or repairs the capture of tables
    Capture(capture::Capture),
    /// Compares a table with what was captured of it, and sends again what differs
    Reconcile(capture::Reconcile),
    /// Finds everything that is wrong with a configuration
    Check(check::Check),
    Doctor(doctor::Doctor),
    /// Runs a connector now, or delivers one record now
    Sync(sync::Sync),
    /// Sends again what was delivered since a time or a position
    Replay(replay::Replay),
    /// Sends rows that are there already to one connector
    Backfill(backfill::Backfill),
    Status(status::Status),
    /// Shows the alerts that are open, or tries the channels
    Alerts(alerts::Alerts),
    Deliveries(deliveries::Deliveries),
    Conflicts(conflicts::Conflicts),
    Audit(audit::Audit),
    Simulate(simulate::Simulate),
    Gate(gate::Gate),
    Drop(drop::Drop),
    Layout(layout::Layout),
    Adapter(adapter::Adapter),
    Test(test::Test),
    Tail(tail::Tail),
    Ssh(ssh::Ssh),
    Prune(prune::Prune),
    Snapshot(snapshot::Snapshot),
    Backup(backup::Backup),
    Completions(completions::Completions),
    Man(man::Man),
}

/// Runs the command line and gives its exit code.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { Code::Usage.into() } else { ExitCode::SUCCESS };
        }
    };
    // The demo's agent writes its log into the demo's folder.
    if !matches!(cli.verb, Some(Verb::Demo(_))) {
        // A daemon's log is where people look first: what it starts, repairs and gives up stands there unasked.
        let daemon = cli.verb.as_ref().is_none_or(|verb| matches!(verb, Verb::Run(run) if !run.is_once()));
        journal::start(cli.global.verbose + u8::from(daemon), cli.global.quiet);
    }
    let json = cli.global.json;
    let place = Place::new(cli.global);
    let result = match cli.verb {
        Some(Verb::Init(init)) => init::init(&place, init),
        Some(Verb::Scaffold(scaffold)) => scaffold::scaffold(&place, scaffold),
        Some(Verb::Status(status)) => status::status(&place, status),
        Some(Verb::Alerts(verb)) => alerts::alerts(&place, verb),
        Some(Verb::Deliveries(verb)) => deliveries::deliveries(&place, verb),
        Some(Verb::Conflicts(verb)) => conflicts::conflicts(&place, verb),
        Some(Verb::Audit(verb)) => audit::audit(&place, verb),
        Some(Verb::Simulate(simulate)) => simulate::simulate(&place, simulate),
        Some(Verb::Gate(verb)) => gate::gate(&place, verb),
        Some(Verb::Drop(verb)) => drop::drop(&place, verb),
        Some(Verb::Layout(layout)) => layout::layout(&place, layout),
        Some(Verb::Adapter(verb)) => adapter::adapter(&place, verb),
        Some(Verb::Test(verb)) => test::test(&place, verb),
        Some(Verb::Tail(tail)) => tail::tail(&place, tail),
        Some(Verb::Ssh(ssh)) => ssh::ssh(&place, &ssh),
        Some(Verb::Completions(completions)) => completions::completions::<Cli>(&completions),
        Some(Verb::Prune(prune)) => prune::prune(&place, prune),
        Some(Verb::Man(man)) => man::man::<Cli>(&man),
        Some(Verb::Snapshot(snapshot)) => snapshot::snapshot(&place, snapshot),
        Some(Verb::Backup(backup)) => backup::backup(&place, &backup),
        Some(Verb::Demo(demo)) => demo::demo(&place, demo),
        Some(Verb::Run(run)) => run::run(&place, run),
        Some(Verb::Watch(watch)) => watch::watch(&place, watch),
        Some(Verb::Unwatch(unwatch)) => watch::unwatch(&place, unwatch),
        Some(Verb::Capture(capture)) => capture::capture(&place, capture),
        Some(Verb::Reconcile(reconcile)) => capture::reconcile(&place, reconcile),
        Some(Verb::Check(check)) => check::check(&place, check),
        Some(Verb::Doctor(doctor)) => doctor::doctor(&place, doctor),
        Some(Verb::Sync(sync)) => sync::sync(&place, sync),
        Some(Verb::Replay(replay)) => replay::replay(&place, replay),
        Some(Verb::Backfill(backfill)) => backfill::backfill(&place, backfill),
        None => follow::follow(&place, cli.follow),
    };
    match result {
        Ok(code) => code.into(),
        Err(failure) => {
            failure.print(json);
            failure.code.into()
        }
    }
}

/// What a verb gives back.
pub type Outcome = Result<Code, Failure>;
