//! Waking up when an application commits: a watch on its files, with a slow look as the fallback.

use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use notify::{RecursiveMode, Watcher as _};

/// What wakes a keeper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// Something was written in the application's folder.
    Written,
    /// Somebody asks for a look.
    Asked,
    /// The agent stops.
    Stop,
}

/// The watch on one application's file.
pub struct Watch {
    inbox: Receiver<Wake>,
    sender: Sender<Wake>,
    /// Dropping it ends the watch. None where the system gives none: the slow look remains.
    _watcher: Option<notify::RecommendedWatcher>,
}

impl Watch {
    /// Watches the folder of a database file: the file, its `-wal` and its `-journal` are written there.
    pub fn on(database: &Path) -> Watch {
        let (sender, inbox) = channel();
        let folder = database.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let name = database.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let tell = sender.clone();
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let ours = match event {
                Ok(event) => {
                    !event.kind.is_access()
                        && event.paths.iter().any(|path| {
                            path.file_name().is_some_and(|file| {
                                let file = file.to_string_lossy();
                                // The -shm is written by readers too, ours among them.
                                file.starts_with(&name) && !file.ends_with("-shm")
                            })
                        })
                }
                Err(_) => true,
            };
            if ours {
                let _ = tell.send(Wake::Written);
            }
        })
        .and_then(|mut watcher| watcher.watch(folder, RecursiveMode::NonRecursive).map(|()| watcher))
        .inspect_err(|error| log::warn!("{}: cannot be watched ({error}): looked at now and then", folder.display()))
        .ok();
        Watch { inbox, sender, _watcher: watcher }
    }

    /// A handle to wake it by.
    pub fn bell(&self) -> Sender<Wake> {
        self.sender.clone()
    }

    /// Waits for a wake-up, or none within `patience`. Takes all that have gathered; a stop goes before all else.
    pub fn wait(&self, patience: Duration) -> Option<Wake> {
        let mut first = match self.inbox.recv_timeout(patience) {
            Ok(wake) => wake,
            Err(RecvTimeoutError::Timeout) => return None,
            Err(RecvTimeoutError::Disconnected) => return Some(Wake::Stop),
        };
        while let Ok(next) = self.inbox.try_recv() {
            if first != Wake::Stop && next != Wake::Written {
                first = next;
            }
        }
        Some(first)
    }
}
