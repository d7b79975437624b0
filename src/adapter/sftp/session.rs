//! A session as a [`Place`].

use std::future::Future;
use std::io::Read;
use std::time::Duration;

use russh::Disconnect;
use russh::client::Handle;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

use crate::adapter::place::{Class, Entry, Look, Name, Opening, Place, Progress, Replace, Sink, Trouble};
use crate::adapter::sftp::exchange::{Exchange, Extensions, refused};
use crate::adapter::sftp::guard::Guard;
use crate::adapter::sftp::ssh;
use crate::adapter::sftp::target::{Prepare, Target, path};
use crate::adapter::sftp::transfer::{self, Pace};
use crate::adapter::sftp::wire::{Answer, Attributes, Packet, flag, kind, limits, status};

/// Most names that a listing may have.
const MOST_NAMES: usize = 200_000;

/// How long a farewell may take.
const FAREWELL: Duration = Duration::from_secs(1);

/// A runtime that leaves behind what still waits for the system (a name that nobody resolves) when it is dropped.
pub(super) struct Own(Option<Runtime>);

impl Own {
    pub(super) fn new() -> Result<Own, Trouble> {
        let runtime = Builder::new_current_thread().enable_all().build();
        runtime.map(|runtime| Own(Some(runtime))).map_err(|error| Trouble::new(Class::Local, error.to_string()))
    }

    /// Runs one call to its end.
    pub(super) fn wait<T>(&self, call: impl Future<Output = Result<T, Trouble>>) -> Result<T, Trouble> {
        match &self.0 {
            Some(runtime) => runtime.block_on(call),
            None => Err(Trouble::new(Class::Local, "the session is closed")),
        }
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// A session with a folder of an SFTP server.
pub(super) struct Sftp {
    own: Own,
    handle: Handle<Guard>,
    exchange: Exchange,
    extensions: Extensions,
    pace: Pace,
    folder: String,
    temps: Option<String>,
    open: Option<Vec<u8>>,
}

impl Sftp {
    /// Opens a session.
    pub(super) fn open(target: &Target) -> Result<Sftp, Trouble> {
        let own = Own::new()?;
        let (handle, exchange, extensions, pace) = own.wait(async {
            let handle = ssh::enter(target).await?;
            let beginning = async {
                let channel = handle.channel_open_session().await?;
                channel.request_subsystem(true, "sftp").await?;
                Ok::<_, russh::Error>(channel.split())
            };
            let patience = target.times.operation;
            let channel = timeout(patience, beginning).await;
            let (reader, writer) = channel
                .map_err(|_| Trouble::new(Class::Connection, "the server does not begin a session"))?
                .map_err(|error| Trouble::new(Class::Connection, format!("no session: {error}")))?;
            let (mut exchange, extensions) = Exchange::begin(reader, writer, patience).await?;
            let mut told = (0, 0, 0);
            if extensions.limits {
                let asked = exchange.ask(|id| Packet::new(kind::EXTENDED, id, 0).text("limits@openssh.com")).await?;
                if let Answer::Extended(reply) = asked {
                    told = limits(&reply).unwrap_or_default();
                }
            }
            Ok((handle, exchange, extensions, Pace::of(told.1, told.2, target.rate)))
        })?;
        let (folder, temps) = (target.folder.clone(), target.temps.clone());
        let mut session = Sftp { own, handle, exchange, extensions, pace, folder, temps, open: None };
        for step in &target.prepare {
            session.prepare(step)?;
        }
        Ok(session)
    }

    /// A refusal counts: a file in the wrong mode is a damaged file.
    fn prepare(&mut self, step: &Prepare) -> Result<(), Trouble> {
        match step {
            Prepare::List(path) => self.names(path).map(drop),
            Prepare::Stat(path) => match self.ask(|id| Packet::new(kind::STAT, id, path.len()).text(path))? {
                Answer::Attributes(_) => Ok(()),
                answer => Err(refused(answer, &format!("prepare the session with {path}"))),
            },
        }
    }

    fn path(&self, name: Name<'_>) -> String {
        match name {
            Name::Final(name) => path(&self.folder, name),
            Name::Temp(name) => path(self.temps.as_ref().unwrap_or(&self.folder), name),
        }
    }

    fn ask(&mut self, request: impl FnOnce(u32) -> Packet) -> Result<Answer, Trouble> {
        self.own.wait(self.exchange.ask(request))
    }

    fn order(&mut self, what: &str, request: impl FnOnce(u32) -> Packet) -> Result<(), Trouble> {
        self.own.wait(self.exchange.order(what, request))
    }

    fn handle(&mut self, what: &str, request: impl FnOnce(u32) -> Packet) -> Result<Vec<u8>, Trouble> {
        match self.ask(request)? {
            Answer::Handle(handle) => Ok(handle),
            answer => Err(refused(answer, what)),
        }
    }

    fn names(&mut self, folder: &str) -> Result<Vec<(Vec<u8>, Attributes)>, Trouble> {
        let what = format!("list {folder}");
        let handle = self.handle(&what, |id| Packet::new(kind::OPENDIR, id, folder.len()).text(folder))?;
        let mut names = Vec::new();
        loop {
            match self.ask(|id| Packet::new(kind::READDIR, id, handle.len()).text(&handle))? {
                Answer::Names(more) if !more.is_empty() && names.len() < MOST_NAMES => names.extend(more),
                Answer::Status(status::EOF, _) => break,
                Answer::Names(_) => {
                    return Err(Trouble::new(Class::Failure, format!("cannot {what}: it has no end")));
                }
                answer => return Err(refused(answer, &what)),
            }
        }
        self.order(&what, |id| Packet::new(kind::CLOSE, id, handle.len()).text(&handle))?;
        Ok(names)
    }
}

impl Place for Sftp {
    fn probe(&mut self) -> Result<(), Trouble> {
        for folder in std::iter::once(self.folder.clone()).chain(self.temps.clone()) {
            let folder = if folder.is_empty() { "." } else { folder.as_str() };
            // Where the name goes into the middle of it there is no folder to look at.
            if folder.contains(super::target::NAME) {
                continue;
            }
            match self.ask(|id| Packet::new(kind::STAT, id, folder.len()).text(folder))? {
                Answer::Attributes(found) if found.is_file() => {
                    return Err(Trouble::new(Class::Missing, format!("{folder} is not a folder there")));
                }
                Answer::Attributes(_) | Answer::Status(status::PERMISSION_DENIED | status::OP_UNSUPPORTED, _) => {}
                answer => return Err(refused(answer, &format!("look at the folder {folder}"))),
            }
        }
        Ok(())
    }

    fn look(&mut self, name: Name<'_>) -> Result<Look, Trouble> {
        let path = self.path(name);
        match self.ask(|id| Packet::new(kind::STAT, id, path.len()).text(&path))? {
            Answer::Attributes(found) if found.is_no_file() => Ok(Look::File(None)),
            Answer::Attributes(found) => Ok(Look::File(found.size)),
            Answer::Status(status::NO_SUCH_FILE, _) => Ok(Look::Absent),
            Answer::Status(status::PERMISSION_DENIED | status::OP_UNSUPPORTED, _) => Ok(Look::Hidden),
            answer => Err(refused(answer, &format!("look at {path}"))),
        }
    }

    fn create(&mut self, name: Name<'_>, opening: Opening) -> Result<(), Trouble> {
        self.open = None;
        let path = self.path(name);
        let flags = match opening {
            Opening::Empty => flag::WRITE | flag::CREAT | flag::TRUNC,
            Opening::Resume => flag::WRITE,
        };
        let open = |id| Packet::new(kind::OPEN, id, path.len()).text(&path).u32(flags).u32(0);
        self.open = Some(self.handle(&format!("open {path} for writing"), open)?);
        Ok(())
    }

    fn write(&mut self, offset: u64, from: &mut dyn Read, progress: Progress<'_>) -> Result<u64, Trouble> {
        let Some(handle) = &self.open else { return Err(closed()) };
        self.own.wait(transfer::write(&mut self.exchange, handle, offset, from, self.pace, progress))
    }

    fn sync(&mut self) -> Result<(), Trouble> {
        let Some(handle) = self.open.clone() else { return Err(closed()) };
        if !self.extensions.fsync {
            return Ok(());
        }
        self.order("have the file stored", |id| {
            Packet::new(kind::EXTENDED, id, handle.len()).text("fsync@openssh.com").text(&handle)
        })
    }

    fn close(&mut self) -> Result<(), Trouble> {
        let Some(handle) = self.open.take() else { return Err(closed()) };
        self.order("close the file", |id| Packet::new(kind::CLOSE, id, handle.len()).text(&handle))
    }

    fn rename(&mut self, from: Name<'_>, to: Name<'_>, replace: Replace) -> Result<(), Trouble> {
        let (from, to) = (self.path(from), self.path(to));
        let what = format!("rename {from} to {to}");
        match replace {
            Replace::Never => {
                self.order(&what, |id| Packet::new(kind::RENAME, id, from.len() + to.len()).text(&from).text(&to))
            }
            Replace::Atomic if !self.extensions.posix_rename => Err(Trouble::new(
                Class::Unsupported,
                format!(
                    "cannot {what} over a file that may be there: the server does not offer \
                     posix-rename@openssh.com, which `overwrite: atomic` needs; use `overwrite: never`"
                ),
            )),
            Replace::Atomic => self.order(&what, |id| {
                let packet = Packet::new(kind::EXTENDED, id, from.len() + to.len() + 32);
                packet.text("posix-rename@openssh.com").text(&from).text(&to)
            }),
        }
    }

    fn remove(&mut self, name: Name<'_>) -> Result<(), Trouble> {
        let path = self.path(name);
        self.order(&format!("remove {path}"), |id| Packet::new(kind::REMOVE, id, path.len()).text(&path))
    }

    fn read(&mut self, name: Name<'_>, offset: u64, sink: Sink<'_>) -> Result<(), Trouble> {
        let path = self.path(name);
        let open = |id| Packet::new(kind::OPEN, id, path.len()).text(&path).u32(flag::READ).u32(0);
        let what = format!("read {path}");
        let handle = self.handle(&what, open)?;
        let read = self.own.wait(transfer::read(&mut self.exchange, &handle, offset, self.pace, sink));
        match read {
            Err(trouble) if !trouble.answered() => Err(trouble),
            read => {
                // The bytes are here: what a server thinks of closing changes nothing.
                let closed = self.order(&what, |id| Packet::new(kind::CLOSE, id, handle.len()).text(&handle));
                if let Err(trouble) = closed
                    && !trouble.answered()
                {
                    return Err(trouble);
                }
                read
            }
        }
    }

    fn list(&mut self, temp: bool) -> Result<Vec<Entry>, Trouble> {
        let folder = self.temps.as_ref().filter(|_| temp).unwrap_or(&self.folder).clone();
        let folder = match folder.as_str() {
            "" => ".",
            folder if folder.contains(super::target::NAME) => {
                return Err(Trouble::new(Class::Unsupported, format!("{folder} is no folder that can be listed")));
            }
            folder => folder,
        };
        let names = self.names(folder)?;
        let entry = |(name, found): (Vec<u8>, Attributes)| {
            let name = String::from_utf8(name).ok()?;
            let is_file = !found.is_no_file() && name != "." && name != "..";
            is_file.then_some(Entry { name, size: found.size, written: found.written })
        };
        Ok(names.into_iter().filter_map(entry).collect())
    }
}

impl Drop for Sftp {
    fn drop(&mut self) {
        // Politeness: a server that does not hear it closes the session anyway.
        let _ = self.own.wait(async {
            let _ = timeout(FAREWELL, self.handle.disconnect(Disconnect::ByApplication, "", "")).await;
            Ok(())
        });
    }
}

fn closed() -> Trouble {
    Trouble::new(Class::Local, "no file is open")
}
