//! Many calls at once on one thread: a readiness loop over connections that never wait.
//!
//! Only what is slow and rare waits, and then on a thread of its own for as long as it takes: opening a connection
//! (look-up, TCP, proxy, TLS), fetching a token.

mod task;
#[cfg(test)]
mod tests;

use std::io;
use std::os::fd::AsRawFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};

use super::answer::{Complete, Reply};
use super::caller::{Caller, Each, Next};
use super::line::Line;
use super::message::encode;
use super::open::Opener;
use super::trouble::Trouble;
use super::wire::{Channel, Wire, trouble};
use super::{Envelope, KEEP, Settings, plain_http};
use crate::adapter::auth::Refused;
use crate::adapter::{Delivery, Ended, Fleet, Parcel, Request, sha256};
use crate::rules::outcome::{Outcome, Reason};
use task::{Came, Prepared, Task};

/// The token of the waker; the others are berths.
const WAKER: Token = Token(usize::MAX);

/// A place for one delivery at a time, and the connection that it keeps.
struct Berth<K> {
    line: Option<Line>,
    task: Option<Task<K>>,
}

impl<K> Default for Berth<K> {
    fn default() -> Berth<K> {
        Berth { line: None, task: None }
    }
}

/// A fleet of connections to one target.
pub struct HttpFleet<C: Caller> {
    settings: Arc<Settings>,
    caller: Arc<C>,
    poll: Poll,
    events: Events,
    waker: Arc<Waker>,
    berths: Vec<Berth<C::Course>>,
    /// Berths without a task; the last one is used next, so that few connections are kept warm.
    free: Vec<usize>,
    /// No later than this something runs out: a call's time, or the time that an unused connection is kept.
    alarm: Option<Instant>,
    ended: Vec<Ended>,
    /// When the operating system last said which sockets have something; all of it was looked at.
    watched: Instant,
    /// Where the threads that wait hand in what they have.
    desk: Sender<(usize, Prepared)>,
    prepared: Receiver<(usize, Prepared)>,
}

impl<C: Caller> HttpFleet<C> {
    pub(super) fn new(settings: Arc<Settings>, caller: Arc<C>, most: usize) -> io::Result<HttpFleet<C>> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        let most = most.max(1);
        let (desk, prepared) = channel();
        Ok(HttpFleet {
            settings,
            caller,
            poll,
            events: Events::with_capacity(most + 1),
            waker,
            berths: (0..most).map(|_| Berth::default()).collect(),
            free: (0..most).rev().collect(),
            alarm: None,
            ended: Vec::new(),
            watched: Instant::now(),
            desk,
            prepared,
        })
    }

    fn task(&mut self, at: usize) -> Option<&mut Task<C::Course>> {
        self.berths.get_mut(at)?.task.as_mut()
    }

    /// Begins the next part of a task.
    fn begin_part(&mut self, at: usize) {
        let caller = Arc::clone(&self.caller);
        let Some(task) = self.task(at) else { return };
        task.started = Instant::now();
        (task.rendered, task.sealed, task.refusal) = (None, None, None);
        (task.renewed, task.moved, task.until) = (false, false, None);
        (task.course, task.earlier) = (None, (0, 0));
        let Some(part) = task.part() else { return };
        if part.rendered().is_none() {
            match caller.render(part) {
                Ok(Some(request)) => task.rendered = Some(request),
                Ok(None) => {
                    let reason = Reason::new("skipped", "the connector sends nothing for this");
                    return self.end_part(at, Came::unsent(Outcome::SuccessWithRemarks(reason)));
                }
                Err(reason) => return self.end_part(at, Came::unsent(Outcome::Reject(reason))),
            }
        }
        let first = match (task.part(), task.request()) {
            (Some(part), Some(request)) => caller.set_out(part, request),
            _ => Ok(None),
        };
        match first {
            Ok(None) => {}
            Ok(Some((request, course))) => (task.rendered, task.course) = (Some(request), Some(course)),
            Err(reason) => return self.end_part(at, Came::unsent(Outcome::Reject(reason))),
        }
        self.call(at);
    }

    /// Sends the request of the part at hand, once there are a credential and a connection.
    fn call(&mut self, at: usize) {
        let (credential, watched) = (self.caller.credential().cloned(), self.watched);
        let Some(Berth { line, task: Some(task) }) = self.berths.get_mut(at) else { return };
        if let Some(credential) = credential.as_ref().filter(|_| task.sealed.is_none()) {
            task.sealed = task.request().and_then(|request| credential.sealed(request));
        }
        let Some(address) = task.address() else {
            let reason = Reason::new("url", "the URL or a header field cannot be sent; is a value too long?");
            return self.end_part(at, Came::unsent(Outcome::Reject(reason)));
        };
        if !address.tls && !self.settings.plain {
            return self.end_part(at, Came::unsent(plain_http().outcome(false)));
        }
        let generation = self.settings.tls.generation();
        if line.as_mut().is_some_and(|line| !line.leads_to(address.origin, generation) || !line.is_fit(watched)) {
            *line = None;
        }
        let to = match (&line, address.host()) {
            (Some(_), _) => None,
            (None, Some((host, port))) => Some((host.to_owned(), port, address.tls)),
            (None, None) => {
                let reason = Reason::new("url", "the port is not a number below 65536");
                return self.end_part(at, Came::unsent(Outcome::Reject(reason)));
            }
        };
        let wary = task.sealed.as_ref().is_some_and(|sealed| sealed.envelope.is_led_by_name());
        let seal = credential.filter(|_| task.sealed.is_none());
        let seal = seal.and_then(|credential| Some((credential, task.request()?.clone())));
        if seal.is_none() && to.is_none() {
            return self.send(at);
        }
        let settings = Arc::clone(&self.settings);
        self.prepare(at, move || {
            // Only who has a token knows where that leads.
            let to = to.filter(|_| seal.as_ref().is_none_or(|(credential, _)| !credential.leads()));
            let sealed = seal.map(|(credential, request)| credential.seal(&request));
            let mut prepared = Prepared { sealed, ..Prepared::default() };
            if !matches!(prepared.sealed, Some(Err(_))) {
                // A token that took long leaves the call all of its time.
                prepared.until = Some(Instant::now() + settings.timeout);
                prepared.channel = to.map(|(host, port, tls)| open(settings, &host, port, tls, wary));
            }
            prepared
        });
    }

    /// Has a thread of its own wait for something slow.
    fn prepare(&mut self, at: usize, work: impl FnOnce() -> Prepared + Send + 'static) {
        let (done, waker) = (self.desk.clone(), Arc::clone(&self.waker));
        let thread = std::thread::Builder::new().name("opening".into()).stack_size(512 * 1024).spawn(move || {
            // Whoever breaks down while it waits must not leave its delivery without an end.
            let prepared = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Prepared {
                channel: Some(Err(Trouble::passing("io", "opening a connection broke down; see the agent's log"))),
                ..Prepared::default()
            });
            // A fleet that has gone meanwhile wants nothing of it.
            let _ = done.send((at, prepared));
            rouse(&waker);
        });
        if thread.is_err() {
            let reason = Reason::new("io", "the operating system gives no thread to open a connection with");
            self.end_part(at, Came::unsent(Outcome::Retry { reason, after: None, transport: true }));
        }
    }

    fn take_prepared(&mut self) {
        while let Ok((at, prepared)) = self.prepared.try_recv() {
            self.go_on_prepared(at, prepared);
        }
    }

    fn go_on_prepared(&mut self, at: usize, prepared: Prepared) {
        let Some(Berth { line, task: Some(task) }) = self.berths.get_mut(at) else { return };
        let refusal = task.refusal.take();
        match prepared.newer {
            None => {}
            Some(Ok(true)) => task.sealed = None,
            Some(Ok(false)) => {
                let (reply, refusal) = refusal.unwrap_or((Reply::default(), Refused::ALL));
                return self.judge(at, reply, Some(refusal));
            }
            Some(Err(outcome)) => {
                let (status, answer) = refusal.map(|(reply, _)| (reply.status, reply.body)).unzip();
                return self.end_part(at, Came { status, answer, sent: true, ..Came::unsent(outcome) });
            }
        }
        match prepared.sealed {
            None => {}
            Some(Ok(sealed)) => task.sealed = Some(sealed),
            Some(Err(outcome)) => return self.end_part(at, Came::unsent(outcome)),
        }
        task.until = prepared.until;
        match prepared.channel {
            None => self.call(at),
            Some(Err(trouble)) => self.end_part(at, Came::unsent(trouble.outcome(false))),
            Some(Ok(channel)) => {
                let origin = task.address().map_or("", |address| address.origin);
                let opened = Line::new(channel, origin, self.settings.tls.generation()).and_then(|line| {
                    let watch = Interest::READABLE | Interest::WRITABLE;
                    self.poll.registry().register(&mut SourceFd(&line.stream().as_raw_fd()), Token(at), watch)?;
                    Ok(line)
                });
                // One that is closed already, or speaks unasked, is not opened again and again: that is the outcome.
                match opened.map_err(|error| trouble(&error, true)).and_then(|mut line| line.look().map(|()| line)) {
                    Ok(opened) => {
                        *line = Some(opened);
                        self.send(at);
                    }
                    Err(trouble) => self.end_part(at, Came::unsent(trouble.outcome(false))),
                }
            }
        }
    }

    fn send(&mut self, at: usize) {
        let nothing = Envelope::default();
        let Some(Berth { line: Some(line), task: Some(task) }) = self.berths.get_mut(at) else { return };
        let envelope = task.sealed.as_ref().map_or(&nothing, |sealed| &sealed.envelope);
        let written = match task.request().zip(task.address()) {
            Some((request, address)) => encode(request, address, envelope, line.request()),
            None => Err(Reason::new("url", "the URL cannot be sent")),
        };
        if let Err(reason) = written {
            return self.end_part(at, Came::unsent(Outcome::Reject(reason)));
        }
        let deadline = task.until.take().unwrap_or_else(|| Instant::now() + self.settings.timeout);
        task.deadline = Some(deadline);
        line.begin(self.caller.wants_fields(), self.caller.longest_answer());
        self.alarm = Some(self.alarm.map_or(deadline, |alarm| alarm.min(deadline)));
    }

    /// A socket has become readable or writable.
    fn go_on(&mut self, at: usize, to_the_end: bool) {
        let Some(berth) = self.berths.get_mut(at) else { return };
        let Some(line) = &mut berth.line else { return };
        if let Some(deadline) = berth.task.as_ref().and_then(|task| task.deadline) {
            if let Some(result) = line.go_on(to_the_end, deadline) {
                self.answered(at, result);
            }
        } else if !line.is_alive() {
            // Nobody asked: it was closed, or what comes now must never be taken for an answer.
            berth.line = None;
        }
    }

    /// A call has ended.
    fn answered(&mut self, at: usize, result: Result<Complete, Trouble>) {
        let Some(Berth { line, task: Some(task) }) = self.berths.get_mut(at) else { return };
        task.deadline = None;
        let sent = line.as_ref().is_some_and(|line| line.sent() > 0);
        let Complete { reply, keep } = match result {
            Ok(complete) => complete,
            Err(trouble) => {
                *line = None;
                return self.end_part(at, Came { sent, ..Came::unsent(trouble.outcome(sent)) });
            }
        };
        if !keep {
            *line = None;
        }
        // The connection may have ended at a server that is not this target (RFC 9110 §15.5.20).
        if reply.status == 421 && !task.moved {
            task.moved = true;
            *line = None;
            return self.call(at);
        }
        let refusal = match &task.sealed {
            Some(_) => self.caller.credential().and_then(|credential| credential.refusal(&reply)),
            None => None,
        };
        match refusal {
            Some(refusal) if !task.renewed => self.renew(at, reply, refusal),
            refusal => self.judge(at, reply, refusal),
        }
    }

    /// Has the credential look for something newer, and tries once more when there is.
    fn renew(&mut self, at: usize, reply: Reply, refusal: Refused) {
        let credential = self.caller.credential().cloned();
        let Some(task) = self.task(at) else { return };
        task.renewed = true;
        let (Some(credential), Some(sealed)) = (credential, task.sealed.take()) else { return };
        task.refusal = Some((reply, refusal));
        let newer = move || Some(credential.refused(&sealed, refusal));
        self.prepare(at, move || Prepared { newer: newer(), ..Prepared::default() });
    }

    /// What an answer leads to. `refusal` = the credential was not accepted, and nothing newer helps.
    fn judge(&mut self, at: usize, reply: Reply, refusal: Option<Refused>) {
        let caller = Arc::clone(&self.caller);
        let Some(task) = self.task(at) else { return };
        let mut course = task.course.take();
        let (Some(part), Some(request)) = (task.part(), task.request()) else { return };
        let each = match part.items() {
            0 => Each::Unsaid,
            _ => caller.judge_items(part, request, &reply, course.as_mut()),
        };
        let (items, next) = match each {
            Each::Unsaid => (Vec::new(), caller.judge(part, request, &reply, course.as_mut())),
            Each::All(outcome) => (Vec::new(), Next::End(outcome)),
            Each::Call(request) => (Vec::new(), Next::Call(request)),
            Each::Items(items) => match items.iter().find(|outcome| !outcome.is_delivered()).or(items.first()).cloned()
            {
                Some(telling) => (items, Next::End(telling)),
                None => (Vec::new(), caller.judge(part, request, &reply, course.as_mut())),
            },
        };
        task.course = course;
        let outcome = match next {
            // The adapter knows by other signs that the target asks to sign in again.
            Next::End(Outcome::Reauth(_)) if refusal.is_none() && !task.renewed && task.sealed.is_some() => {
                return self.renew(at, reply, Refused::ALL);
            }
            Next::End(Outcome::Halt(reason) | Outcome::Reject(reason)) if refusal.is_some() => Outcome::Reauth(reason),
            Next::End(outcome) => outcome,
            Next::Call(request) => {
                task.earlier.0 += task.request().map_or(0, |request| request.body.len() as u64);
                task.earlier.1 += reply.body.len() as u64;
                // What seals a request may be made of it: a signature, a secret in its body.
                (task.rendered, task.sealed, task.refusal) = (Some(request), None, None);
                (task.renewed, task.moved, task.until) = (false, false, None);
                return self.call(at);
            }
        };
        self.end_part(at, Came { outcome, items, status: Some(reply.status), answer: Some(reply.body), sent: true });
    }

    /// Notes what came of a part; goes on with the next, or ends the task.
    fn end_part(&mut self, at: usize, came: Came) {
        let caller = Arc::clone(&self.caller);
        let Some(berth) = self.berths.get_mut(at) else { return };
        let Some(task) = &mut berth.task else { return };
        let course = task.course.take();
        let body = task.request().map_or(0, |request| request.body.len() as u64);
        let earlier = task.earlier;
        // Of several calls the parcel's own request stands for all.
        let request = task.part().and_then(Parcel::rendered).or(task.rendered.as_ref());
        let outcome = caller.settle(came.outcome);
        let delivered = outcome.is_delivered();
        let left = match (task.part(), course) {
            (Some(part), Some(course)) if delivered || !came.items.is_empty() => caller.leave(part, course),
            _ => Vec::new(),
        };
        let delivery = Delivery {
            outcome,
            left,
            items: came.items,
            status: came.status,
            request_hash: request.map_or([0; 32], Request::hash),
            answer_hash: came.answer.as_deref().map(sha256),
            bytes: (
                earlier.0 + if came.sent { body } else { 0 },
                earlier.1 + came.answer.as_ref().map_or(0, |answer| answer.len() as u64),
            ),
            took: task.started.elapsed(),
        };
        task.deliveries.push(delivery);
        if delivered && task.deliveries.len() < task.parts.len() {
            return self.begin_part(at);
        }
        if let Some(task) = berth.task.take() {
            self.ended.push(Ended { ticket: task.ticket, deliveries: task.deliveries });
            self.free.push(at);
            if let Some(line) = &berth.line {
                let until = line.used() + KEEP;
                self.alarm = Some(self.alarm.map_or(until, |alarm| alarm.min(until)));
            }
        }
    }

    /// Ends the calls whose time is over, and the connections that nobody has used for long.
    fn ring(&mut self) {
        let now = Instant::now();
        if self.alarm.is_none_or(|alarm| now < alarm) {
            return;
        }
        self.alarm = None;
        for at in 0..self.berths.len() {
            let Some(berth) = self.berths.get_mut(at) else { continue };
            let deadline = berth.task.as_ref().and_then(|task| task.deadline);
            let end = match (&mut berth.line, deadline) {
                (Some(line), Some(deadline)) if deadline <= now => {
                    let trouble = trouble(&io::ErrorKind::TimedOut.into(), false);
                    let result = line.give_up(trouble).map(|complete| Complete { keep: false, ..complete });
                    self.answered(at, result);
                    continue;
                }
                (_, Some(deadline)) => Some(deadline),
                (Some(line), None) if berth.task.is_none() => Some(line.used() + KEEP),
                _ => None,
            };
            if deadline.is_none() && end.is_some_and(|end| end <= now) {
                berth.line = None;
                continue;
            }
            self.alarm = match (self.alarm, end) {
                (Some(alarm), Some(end)) => Some(alarm.min(end)),
                (alarm, end) => alarm.or(end),
            };
        }
    }
}

/// `wary` = the host came from an answer: nothing inside our own networks is connected to for it.
fn open(settings: Arc<Settings>, host: &str, port: u16, tls: bool, wary: bool) -> Result<Channel, Trouble> {
    let wire = Arc::new(Wire::new());
    wire.begin(settings.timeout, 0);
    Opener { settings, wire, wary }.open(host, port, tls)
}

/// Ends a wait. A signal must not swallow that; else a waker fails only where its loop is gone.
fn rouse(waker: &Waker) {
    while waker.wake().is_err_and(|error| error.kind() == io::ErrorKind::Interrupted) {}
}

impl<C: Caller> Fleet for HttpFleet<C> {
    fn room(&self) -> usize {
        self.free.len()
    }

    fn begin(&mut self, ticket: u64, parts: Arc<[Parcel]>) {
        if parts.is_empty() {
            return self.ended.push(Ended { ticket, deliveries: Vec::new() });
        }
        // A berth with an open connection, if there is one.
        let open = self.free.iter().rposition(|at| self.berths.get(*at).is_some_and(|berth| berth.line.is_some()));
        let at = match open {
            Some(place) => self.free.swap_remove(place),
            None => match self.free.pop() {
                Some(at) => at,
                None => return self.ended.push(Ended { ticket, deliveries: Vec::new() }),
            },
        };
        if let Some(berth) = self.berths.get_mut(at) {
            berth.task = Some(Task::new(ticket, parts));
        }
        self.begin_part(at);
    }

    fn wait(&mut self, patience: Option<Duration>, ended: &mut Vec<Ended>) -> io::Result<()> {
        let until = self.alarm.map(|alarm| alarm.saturating_duration_since(Instant::now()));
        let timeout = match (patience, until) {
            // What has ended where it was begun waits for nothing, and keeps nothing else waiting.
            _ if !self.ended.is_empty() => Some(Duration::ZERO),
            (Some(patience), Some(until)) => Some(patience.min(until)),
            (patience, until) => patience.or(until),
        };
        match self.poll.poll(&mut self.events, timeout) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        self.watched = Instant::now();
        let ready = self.events.iter().map(|event| (event.token(), event.is_read_closed() || event.is_error()));
        for (token, has_end) in ready.collect::<Vec<_>>() {
            match token {
                WAKER => self.take_prepared(),
                Token(at) => self.go_on(at, has_end),
            }
        }
        self.ring();
        ended.append(&mut self.ended);
        Ok(())
    }

    fn waker(&self) -> Arc<dyn Fn() + Send + Sync> {
        let waker = Arc::clone(&self.waker);
        Arc::new(move || rouse(&waker))
    }
}
