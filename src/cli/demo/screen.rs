//! What the person in front of it sees: a table that is drawn again and again on a terminal, plain lines elsewhere.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use console::{Style, Term, measure_text_width, truncate_str};
use serde_json::Value;

use super::board::{Board, Row};
use super::figures::{Aside, Figures};
use crate::store::state::parked::ParkedState;

/// Who did something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// The office's clerk.
    Clerk,
    /// The outside system.
    Scheduler,
    /// The agent.
    Agent,
    /// A person who looks after the agent.
    Operator,
}

impl Who {
    fn word(self) -> &'static str {
        match self {
            Who::Clerk => "clerk",
            Who::Scheduler => "scheduler",
            Who::Agent => "agent",
            Who::Operator => "operator",
        }
    }
}

/// Where it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// On stdout.
    Out,
    /// On stderr, because stdout is for the summary.
    Err,
    /// On stdout, one JSON object a line.
    Json,
    /// Nowhere.
    Silent,
}

/// Happenings that are kept in sight.
const HAPPENINGS: usize = 6;
/// Records that are kept in sight.
const RECORDS: usize = 8;
/// Widths of what both sides have.
const OFFICE: usize = 27;
const THERE: usize = 21;

/// The screen.
pub struct Screen {
    form: Form,
    term: Term,
    live: bool,
    colours: bool,
    started: Instant,
    happenings: VecDeque<(Duration, Who, String)>,
    drawn: usize,
    title: String,
    unread: bool,
}

/// What a frame shows.
pub struct View<'v> {
    /// The records.
    pub board: &'v Board,
    /// The sums.
    pub figures: &'v Figures,
    /// The last lines.
    pub hint: &'v str,
}

impl Screen {
    /// A screen.
    pub fn new(form: Form, title: String) -> Screen {
        let term = if form == Form::Err { Term::stderr() } else { Term::stdout() };
        let live = matches!(form, Form::Out | Form::Err) && term.features().is_attended() && !console::is_dumb();
        let colours =
            live && if form == Form::Err { console::colors_enabled_stderr() } else { console::colors_enabled() };
        if live {
            let _ = term.hide_cursor();
        }
        Screen {
            form,
            term,
            live,
            colours,
            started: Instant::now(),
            happenings: VecDeque::new(),
            drawn: 0,
            title,
            unread: false,
        }
    }

    /// Whether the reader has gone away.
    pub fn is_unread(&self) -> bool {
        self.unread
    }

    /// Tells what has happened.
    pub fn tell(&mut self, at: Instant, who: Who, text: String) {
        let at = at.saturating_duration_since(self.started);
        if self.live {
            self.happenings.push_back((at, who, text));
            if self.happenings.len() > HAPPENINGS {
                self.happenings.pop_front();
            }
            return;
        }
        let seconds = at.as_secs_f64();
        let line = match self.form {
            Form::Silent => return,
            Form::Json => serde_json::json!({"seconds": seconds, "who": who.word(), "what": text}).to_string(),
            Form::Out | Form::Err => format!("{seconds:6.2} s  {:<9}  {text}", who.word()),
        };
        self.unread |= self.term.write_line(&line).is_err();
    }

    /// Draws the picture anew, on a terminal.
    pub fn draw(&mut self, view: &View<'_>) {
        if !self.live {
            return;
        }
        let (height, width) = self.term.size();
        let (height, width) = (usize::from(height).max(10), usize::from(width).max(40));
        let mut lines = self.lines(view, Instant::now());
        lines.truncate(height - 1);
        let mut out = String::new();
        if self.drawn > 0 {
            out.push_str(&format!("\x1b[{}A", self.drawn));
        }
        for line in &lines {
            out.push_str(&truncate_str(line, width - 1, ""));
            out.push_str("\x1b[0m\x1b[K\n");
        }
        out.push_str("\x1b[J");
        self.drawn = lines.len();
        let _ = self.term.write_str(&out);
        let _ = self.term.flush();
    }

    fn lines(&self, view: &View<'_>, now: Instant) -> Vec<String> {
        let strong = self.style().bold();
        let faint = self.style().dim();
        let mut lines = vec![strong.apply_to(&self.title).to_string(), String::new()];
        for (at, who, text) in &self.happenings {
            let tint = match who {
                Who::Clerk => self.style().cyan(),
                Who::Scheduler => self.style().yellow(),
                Who::Agent | Who::Operator => self.style().magenta(),
            };
            let time = faint.apply_to(format!("{:5.1}s", at.as_secs_f64()));
            lines.push(format!("{time} {} {text}", tint.apply_to(format!("{:<9}", who.word()))));
        }
        lines.resize(2 + HAPPENINGS + 1, String::new());
        let figures = view.figures;
        let (office, there) = ("THE OFFICE HAS", "THE SCHEDULER HAS");
        let header = format!("{:>4} {:<4} {office:<OFFICE$} {there:<THERE$} DELIVERY", "No.", "");
        lines.push(strong.apply_to(header).to_string());
        let rows = view.board.shown(RECORDS, now);
        for (id, row) in &rows {
            lines.push(self.row(*id, row, figures.aside.get(id), figures.down, now));
        }
        lines.resize(2 + HAPPENINGS + 2 + RECORDS + 1, String::new());
        lines.push(self.footer(view));
        let typical = view.board.typical().map(short).unwrap_or_default();
        lines.push(format!("from the office's commit to the scheduler's desk: typically {}", strong.apply_to(typical)));
        lines.extend(view.hint.lines().map(|line| faint.apply_to(line).to_string()));
        lines
    }

    fn row(&self, id: i64, row: &Row, aside: Option<&Aside>, down: bool, now: Instant) -> String {
        let fresh = |style: Style| {
            let just = row.touched.is_some_and(|touched| now.saturating_duration_since(touched).as_millis() < 700);
            if just { style.bold() } else { style }
        };
        let gone = || self.style().dim().apply_to("-").to_string();
        let office = row.office.as_ref().map_or_else(gone, ToString::to_string);
        let there = row.there.as_ref().map_or_else(gone, slot);
        let (style, text) = delivery(row, aside, down);
        let style = match style {
            Tint::Good => self.style().green(),
            Tint::Wait => self.style().yellow(),
            Tint::Bad => self.style().red(),
        };
        let office = pad(&fresh(self.style()).apply_to(office).to_string(), OFFICE);
        format!("{id:>4} {:<4} {office} {} {}", row.patient, pad(&there, THERE), style.apply_to(text))
    }

    fn footer(&self, view: &View<'_>) -> String {
        let figures = view.figures;
        let strong = self.style().bold();
        let parked = figures.dead + figures.behind + figures.held;
        let sums: [(&str, u64); 6] = [
            ("committed", figures.committed),
            ("captured", figures.captured),
            ("delivered", figures.delivered),
            ("on the way", figures.committed.saturating_sub(figures.delivered + parked)),
            ("parked", parked),
            ("retries", figures.retried),
        ];
        sums.map(|(name, n)| format!("{name} {}", strong.apply_to(n))).join("  ")
    }

    fn style(&self) -> Style {
        Style::new().force_styling(self.colours)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if self.live {
            let _ = self.term.show_cursor();
        }
    }
}

/// Cells are of fixed width, whatever colours are in them.
fn pad(text: &str, width: usize) -> String {
    let text = truncate_str(text, width, "");
    let missing = width.saturating_sub(measure_text_width(&text));
    format!("{text}{}", " ".repeat(missing))
}

/// A slot of the scheduler, in its own terms.
fn slot(body: &Value) -> String {
    let text = |path: &str| match body.pointer(path) {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => "?".to_owned(),
    };
    format!("{} {:>4} s {:<6} {}", text("/slot/start"), text("/slot/seconds"), text("/slot/room"), text("/state"))
}

enum Tint {
    Good,
    Wait,
    Bad,
}

/// How a record's deliveries stand, in a few words.
fn delivery(row: &Row, aside: Option<&Aside>, down: bool) -> (Tint, String) {
    let more = match row.under_way.len().saturating_sub(1) {
        0 => String::new(),
        n => format!(", {n} behind"),
    };
    match aside {
        Some(Aside { state: ParkedState::Dead, .. }) => (Tint::Bad, format!("✗ refused{more}")),
        Some(Aside { state: ParkedState::Held, class, .. }) => (Tint::Bad, format!("✗ held, {class}{more}")),
        _ if row.under_way.is_empty() => {
            let took = row.took.map_or_else(String::new, short);
            let tries = if row.tries > 1 { format!(", try {}", row.tries) } else { String::new() };
            (Tint::Good, format!("✓ {took}{tries}"))
        }
        _ if down => (Tint::Wait, format!("… is down{more}")),
        Some(Aside { class, .. }) => (Tint::Wait, format!("… {class}{more}")),
        None => (Tint::Wait, format!("… on its way{more}")),
    }
}

/// A time, short.
pub fn short(time: Duration) -> String {
    let ms = time.as_secs_f64() * 1000.0;
    if ms < 10.0 {
        format!("{ms:.1} ms")
    } else if ms < 1000.0 {
        format!("{ms:.0} ms")
    } else {
        format!("{:.1} s", ms / 1000.0)
    }
}
