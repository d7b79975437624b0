//! `demo`: an office, a legacy scheduler, and the agent between them, with nothing else installed and no network.
//!
//! The clerk edits the office's database with plain SQL and knows nothing of the agent. The agent is the real one,
//! started from real configuration files. The scheduler answers over TLS and has its bad moments. At the end a
//! checker holds the clerk's own memory against the scheduler's journal.

mod board;
mod clerk;
mod figures;
mod folder;
mod scheduler;
mod screen;
mod summary;
mod truth;
mod verify;

use std::io;
use std::net::Ipv4Addr;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use crate::cli::failure::{Code, Failure};
use crate::cli::place::Place;
use crate::cli::{Outcome, output};
use crate::config;
use crate::daemon::agent::{Agent, Options};
use crate::daemon::api::{Api, Ways};
use crate::daemon::serve::announce;
use crate::engine::operate::{Actor, Operation};
use crate::engine::push::Run;
use crate::store::capture::{Access, CapturedLog};
use crate::store::state::StateReader;
use crate::store::state::parked::{ParkedState, Selection};

use board::{Board, News};
use clerk::{Act, Clerk};
use figures::{Figures, figures};
use folder::Folder;
use scheduler::{Met, Moods, Scheduler};
use screen::{Form, Screen, View, Who};
use summary::Summary;

/// Shows it at work: an office, a legacy system and the agent, all made up and on this machine alone
#[derive(Debug, clap::Args)]
pub struct Demo {
    /// Makes a fixed set of changes, waits until all has arrived, prints a summary: exit code 0 only if every change
    /// arrived exactly as it was committed
    #[arg(long)]
    once: bool,
    /// Keeps the folder with the databases and the configuration
    #[arg(long)]
    keep: bool,
}

/// What the clerk does first: everything that a clerk does, at least once. It is all that `--once` does.
const MORNING: [Act; 44] = {
    use Act::{Book, BookAnnex, Bump, Cancel, Lengthen, Move, MoveAnnex, Progress, Regret, Renumber, Rewrite, Shuffle};
    [
        Book, Book, Book, Move, Book, Progress, Book, BookAnnex, Rewrite, Progress, Shuffle, Regret, Move, MoveAnnex,
        Bump, Lengthen, Renumber, Progress, Cancel, Book, Move, Move, Shuffle, Progress, Rewrite, MoveAnnex, Book,
        Regret, Renumber, Move, Lengthen, Bump, Book, Progress, Progress, Cancel, Move, Shuffle, Book, Rewrite, Move,
        Progress, Renumber, Move,
    ]
};
/// The clerk of `--once` does the same things each time.
const SEED: u64 = 1;
/// How long the address that the demo shows opens its page.
const PAGE: Duration = Duration::from_secs(86_400);
/// Pictures a second: ten.
const FRAME: Duration = Duration::from_millis(100);
/// How long `--once` waits for what is on its way before it says that it is lost.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a dead letter lies before somebody teaches the scheduler the room.
const DEAD_LETTER_LIES: Duration = Duration::from_secs(15);
/// How long the live demo waits for what is on its way when it is asked to end.
const FAREWELL: Duration = Duration::from_secs(15);

/// Runs `demo`.
pub fn demo(place: &Place, demo: Demo) -> Outcome {
    if place.is_named() {
        let text =
            "the demo brings its own database and configuration; for yours there is `hms-sync init --database FILE`";
        return Err(Failure::new(Code::Usage, text));
    }
    let mut folder = Folder::new().map_err(|error| cannot("make a temporary folder", &error))?;
    if demo.keep {
        folder.keep();
    }
    let form = match (demo.once, place.json(), place.quiet()) {
        (true, true, _) | (_, _, true) => Form::Silent,
        (false, true, false) => Form::Json,
        (true, false, false) => Form::Err,
        (false, false, false) => Form::Out,
    };
    let interrupts = interrupts().map_err(|error| cannot("wait for signals", &error))?;
    let mut stage = Stage::set(folder, demo.once, form, interrupts)?;
    let ended = if demo.once { stage.morning() } else { stage.day() };
    let (summary, folder) = stage.end(ended)?;
    if place.json() {
        output::json(&summary)?;
    } else {
        summary.lines().iter().try_for_each(|line| output::line(line))?;
        let at = folder.path().display();
        if folder.is_kept() {
            output::line(&format!("Kept: configuration, databases and log. Look around:  hms-sync -c {at} status"))?;
        } else if !place.quiet() {
            output::line("To look around afterwards:  hms-sync demo --keep")?;
        }
        if !place.quiet() {
            output::line("With your own database:  hms-sync -c . init --database /path/to/office.db")?;
        }
    }
    Ok(if summary.ok { Code::Ok } else { Code::Failed })
}

/// Why the play was left off.
enum Ended {
    /// All was done that was to be done, or somebody asked to end it.
    Well,
    /// Somebody asked twice.
    AtOnce,
}

/// Everything that plays.
struct Stage {
    folder: Folder,
    scheduler: Scheduler,
    clerk: Clerk,
    agent: Agent,
    /// Not with `--once`: nobody has the time to look.
    api: Option<Api>,
    state: StateReader,
    log: CapturedLog,
    board: Board,
    figures: Figures,
    screen: Screen,
    /// What is to be told with the next frame, in order of time.
    heard: Vec<(Instant, Who, String)>,
    interrupts: Receiver<()>,
    started: Instant,
    hint: String,
    known_dead: u64,
    dead_since: Option<Instant>,
}

impl Stage {
    /// Makes the office and the scheduler, writes the agent's configuration, and starts the agent from it.
    fn set(folder: Folder, once: bool, form: Form, interrupts: Receiver<()>) -> Result<Stage, Failure> {
        let started = Instant::now();
        let log =
            std::fs::File::create(folder.log()).map_err(|error| cannot("write into the demo's folder", &error))?;
        crate::cli::journal::start_to(log);
        let seed = if once { SEED } else { fastrand::u64(..) };
        let clerk = Clerk::open(&folder.database(), seed).map_err(broken_office)?;
        let tls = folder.authority().map_err(|error| cannot("make a certificate", &error))?;
        let token = format!("{:032x}", fastrand::u128(..));
        let moods = if once {
            Moods { gap: 5, outage: Duration::from_millis(1500), forever: false }
        } else {
            Moods { gap: 4, outage: Duration::from_secs(4), forever: true }
        };
        let scheduler = Scheduler::start(tls, &token, moods).map_err(|error| cannot("listen on 127.0.0.1", &error))?;
        folder
            .write_configuration(scheduler.port(), &token)
            .map_err(|error| cannot("write into the demo's folder", &error))?;
        let agent = Agent::start(config::load(folder.path())?, Options { run: Run::Forever, take_over: false }, || {})?;
        let title =
            format!("HMS-SYNC   an office → the agent → a legacy scheduler, https://127.0.0.1:{}", scheduler.port());
        let api = if once { None } else { serve(&folder, &agent) };
        // Good for as long as the demo runs: nothing here is anybody's.
        let page = api.as_ref().and_then(|api| api.page("demo", PAGE));
        let mut hint = if once {
            format!("Everything lies in {} until it ends.", folder.path().display())
        } else {
            format!("Ctrl-C ends it. Look closer: hms-sync -c {} status", folder.path().display())
        };
        let screen = Screen::new(form, title);
        let mut heard = vec![(Instant::now(), Who::Agent, "watches the table `appointments` of the office".to_owned())];
        if let Some(page) = page {
            hint = format!("The status page: {page}\n{hint}");
            heard.push((Instant::now(), Who::Agent, format!("shows how it stands at {page}")));
        }
        Ok(Stage {
            state: StateReader::open(agent.handle().state())?,
            log: CapturedLog::open("office", &folder.database(), Access::Read)?,
            folder,
            scheduler,
            clerk,
            agent,
            api,
            board: Board::default(),
            figures: Figures::default(),
            screen,
            heard,
            interrupts,
            started,
            hint,
            known_dead: 0,
            dead_since: None,
        })
    }

    /// `--once`: a fixed set of changes, every bad moment of the scheduler, one refused record; until all has arrived.
    fn morning(&mut self) -> Result<Ended, Failure> {
        for act in MORNING {
            self.act(act)?;
            if self.wait(Duration::from_millis(80))? {
                return Ok(Ended::AtOnce);
            }
        }
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline && !self.scheduler.desk().has_shown_all() {
            self.act(Act::Move)?;
            if self.wait(FRAME)? {
                return Ok(Ended::AtOnce);
            }
        }
        while Instant::now() < deadline && !self.figures.is_settled() {
            if self.wait(FRAME)? {
                return Ok(Ended::AtOnce);
            }
        }
        self.teach()?;
        while Instant::now() < deadline && !self.figures.is_done() {
            if self.wait(FRAME)? {
                return Ok(Ended::AtOnce);
            }
        }
        Ok(Ended::Well)
    }

    /// Until somebody has seen enough; then what is on its way may still arrive.
    fn day(&mut self) -> Result<Ended, Failure> {
        let mut acts = MORNING.into_iter();
        loop {
            let act = acts.next().unwrap_or_else(|| self.clerk.whim());
            self.act(act)?;
            if self.wait(Duration::from_millis(fastrand::u64(500..1300)))? || self.screen.is_unread() {
                break;
            }
            self.look_after_dead_letters()?;
        }
        self.hint = "Ending: what is on its way arrives first. Ctrl-C again ends it at once.".to_owned();
        self.scheduler.desk().behave();
        self.retry()?;
        let deadline = Instant::now() + FAREWELL;
        while Instant::now() < deadline && !self.figures.is_done() {
            if self.wait(FRAME)? {
                return Ok(Ended::AtOnce);
            }
        }
        Ok(Ended::Well)
    }

    /// Stops the agent and draws the sums.
    fn end(mut self, ended: Result<Ended, Failure>) -> Result<(Summary, Folder), Failure> {
        let stopped_at_once = match ended {
            Ok(ended) => matches!(ended, Ended::AtOnce),
            Err(failure) => {
                self.folder.keep();
                let message = format!("{}\nEverything is left in {}", failure.message, self.folder.path().display());
                return Err(Failure::new(failure.code, message));
            }
        };
        self.agent.stop();
        self.api.take().into_iter().for_each(Api::stop);
        let truth = self.clerk.truth();
        self.figures = figures(&mut self.state, &self.log, truth.changes.len())?;
        let desk = self.scheduler.desk();
        self.board.update(truth, &desk);
        self.screen.draw(&View { board: &self.board, figures: &self.figures, hint: "" });
        drop(self.screen);
        let mut wrong = verify::verify(&truth.changes, &desk.journal);
        wrong.extend(self.clerk.disagreements().map_err(broken_office)?);
        if stopped_at_once {
            wrong.push("it was ended before everything had arrived".to_owned());
        }
        let mut summary = Summary::new(truth, &desk.journal, &self.figures, &self.board, wrong, self.started.elapsed());
        drop(desk);
        if !summary.ok {
            self.folder.keep();
        }
        summary.folder = self.folder.is_kept().then(|| self.folder.path().to_owned());
        Ok((summary, self.folder))
    }

    /// Lets the clerk do something.
    fn act(&mut self, act: Act) -> Result<(), Failure> {
        if let Some(deed) = self.clerk.act(act).map_err(broken_office)? {
            self.heard.push((Instant::now(), Who::Clerk, format!("{} ({})", deed.text, deed.sql)));
        }
        Ok(())
    }

    /// Plays on for a while. True when somebody asks to end it.
    fn wait(&mut self, time: Duration) -> Result<bool, Failure> {
        let until = Instant::now() + time;
        loop {
            self.frame()?;
            let left = until.saturating_duration_since(Instant::now());
            match self.interrupts.recv_timeout(left.min(FRAME)) {
                Ok(()) => return Ok(true),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
            if Instant::now() >= until {
                return Ok(false);
            }
        }
    }

    /// Looks at everything once, and shows it.
    fn frame(&mut self) -> Result<(), Failure> {
        let truth = self.clerk.truth();
        let news = self.board.update(truth, &self.scheduler.desk());
        self.figures = figures(&mut self.state, &self.log, truth.changes.len())?;
        for (at, news) in news {
            let text = match news {
                News::Back => "is back".to_owned(),
                News::Met(_, Met::Down) => "is down".to_owned(),
                News::Met(record, met) => format!("{record}: {}", met.trouble().unwrap_or_default()),
            };
            self.heard.push((at, Who::Scheduler, text));
        }
        if self.figures.died > self.known_dead {
            self.known_dead = self.figures.died;
            let text =
                "keeps the refused change as a dead letter; later ones of that record wait behind it, all others go on";
            self.heard.push((Instant::now(), Who::Agent, text.to_owned()));
        }
        self.heard.sort_by_key(|(at, ..)| *at);
        for (at, who, text) in self.heard.drain(..) {
            self.screen.tell(at, who, text);
        }
        self.screen.draw(&View { board: &self.board, figures: &self.figures, hint: &self.hint });
        Ok(())
    }

    /// In the live demo somebody looks at dead letters now and then.
    fn look_after_dead_letters(&mut self) -> Result<(), Failure> {
        let now = Instant::now();
        let since = *self.dead_since.get_or_insert(now);
        if self.figures.dead == 0 {
            self.dead_since = None;
        } else if now.saturating_duration_since(since) > DEAD_LETTER_LIES {
            self.dead_since = None;
            self.teach()?;
        }
        Ok(())
    }

    /// The scheduler's administrator adds the room, and the refused delivery is sent again.
    fn teach(&mut self) -> Result<(), Failure> {
        self.scheduler.desk().knows_annex = true;
        let text = "has the room added at the scheduler, and retries the dead letter";
        self.heard.push((Instant::now(), Who::Operator, text.to_owned()));
        self.retry()
    }

    fn retry(&self) -> Result<(), Failure> {
        let dead = Selection { state: Some(ParkedState::Dead.as_str().to_owned()), ..Selection::default() };
        let operator = Actor { name: "demo".to_owned(), reason: Some("the scheduler knows the room now".to_owned()) };
        self.agent.handle().operate(Operation::Retry { which: dead, stale: false }, operator)?;
        Ok(())
    }
}

/// The agent's socket and a port for its page. The demo goes on without.
fn serve(folder: &Folder, agent: &Agent) -> Option<Api> {
    let ways =
        Ways { socket: folder.socket(), tcp: vec![(Ipv4Addr::LOCALHOST, 0).into()], token: None, open_metrics: false };
    match Api::listen(&ways, Arc::new(RwLock::new(agent.handle()))) {
        Ok(api) => {
            announce(&ways.socket, agent);
            Some(api)
        }
        Err(error) => {
            log::error!("{}: there is no status page: {error}", ways.socket.display());
            None
        }
    }
}

/// Ctrl-C and SIGTERM, as messages.
fn interrupts() -> io::Result<Receiver<()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut interrupt, mut terminate) = runtime
        .block_on(async { io::Result::Ok((signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)) })?;
    let (sender, inbox) = channel();
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        runtime.block_on(async {
            loop {
                tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
                if sender.send(()).is_err() {
                    return;
                }
            }
        });
    })?;
    Ok(inbox)
}

fn cannot(what: &str, error: &dyn std::fmt::Display) -> Failure {
    Failure::new(Code::CannotWrite, format!("the demo cannot {what}: {error}"))
}

fn broken_office(error: rusqlite::Error) -> Failure {
    Failure::new(Code::Failed, format!("the demo's office database refuses what its clerk does: {error}"))
}
