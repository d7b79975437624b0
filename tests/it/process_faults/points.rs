//! Which calls there are: a run without a fault shows them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::scene::Scene;
use crate::support::office::Office;
use crate::support::strace::{Fault, Injection, READS, SOCKETS, files_of};

/// Whose calls are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Files {
    /// Those on the application's file and what stands beside it.
    Application,
    /// Those on the state file and what stands beside it.
    State,
    /// All, from the configuration's opening on.
    Any,
}

impl Files {
    pub const ALL: [Files; 3] = [Files::Application, Files::State, Files::Any];

    pub fn name(self) -> &'static str {
        match self {
            Files::Application => "app",
            Files::State => "state",
            Files::Any => "any",
        }
    }

    pub fn paths(self, office: &Office) -> Vec<PathBuf> {
        match self {
            Files::Application => files_of(&office.database()),
            Files::State => files_of(&office.state()),
            Files::Any => Vec::new(),
        }
    }

    /// Whether a fault is tried at such a call here. A disk is full or fails for one file system at a time, and calls
    /// on sockets are on no file; reads of the databases are counted with their files.
    fn has(self, fault: Fault, call: &str) -> bool {
        let socket = SOCKETS.contains(&call);
        match (self, fault) {
            (Files::Any, Fault::Reset) => true,
            (_, Fault::Reset) => false,
            (Files::Any, Fault::Kill | Fault::Interrupted) => socket || matches!(call, "write" | "openat" | "mkdir"),
            (Files::Any, _) => false,
            _ => !socket,
        }
    }
}

/// One fault at one place of one scene.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point {
    pub scene: Scene,
    pub files: Files,
    pub injection: Injection,
}

impl Point {
    /// As it is written in `HMS_FAULTS`.
    pub fn name(&self) -> String {
        let Injection { fault, call, n } = &self.injection;
        format!("{}/{}/{}/{call}/{n}", self.scene.name(), self.files.name(), fault.name())
    }

    /// Whether the call only looks.
    pub fn reads(&self) -> bool {
        READS.contains(&&*self.injection.call)
    }

    /// Reads a name.
    pub fn named(text: &str) -> Option<Point> {
        let parts: Vec<&str> = text.split('/').collect();
        let [scene, files, fault, call, n] = parts.as_slice() else { return None };
        Some(Point {
            scene: Scene::ALL.into_iter().find(|known| known.name() == *scene)?,
            files: Files::ALL.into_iter().find(|known| known.name() == *files)?,
            injection: Injection {
                fault: Fault::ALL.into_iter().find(|known| known.name() == *fault)?,
                call: (*call).to_owned(),
                n: n.parse().ok()?,
            },
        })
    }
}

/// Every point of a scene, from how often each call was made by one thread.
pub fn points(scene: Scene, files: Files, calls: &BTreeMap<String, (usize, usize)>) -> Vec<Point> {
    let mut points = Vec::new();
    // In a running agent every thread meets the error at its own n-th call, also at the pipes by which signals come and
    // threads are woken, where the system knows no such error. The sockets of the lanes are met in a single run.
    let only_kill = scene == Scene::Daemon && files == Files::Any;
    for fault in Fault::ALL.into_iter().filter(|fault| !only_kill || *fault == Fault::Kill) {
        for call in fault.calls() {
            let Some((first, last)) = calls.get(call).filter(|_| files.has(fault, call)) else { continue };
            for n in *first..=*last {
                let injection = Injection { fault, call: call.to_owned(), n };
                points.push(Point { scene, files, injection });
            }
        }
    }
    points
}
