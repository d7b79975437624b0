//! A disk under files that processes wrote, and what a power cut may leave of them.
//!
//! Two kinds. `Ext4`: names and sizes become durable in the order in which they were changed, all of them with any sync
//! that has one to store, or earlier by themselves; a file's sync stores its data. `Strict`: a name is durable only by a
//! sync of its folder; every sector stands for itself. In both, each sector that was written and not synced may be as it
//! was at any moment since its last sync.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::trace::{Act, Call};

/// How the disk behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Ext4,
    Strict,
}

/// What is left after a power cut: folders, and files with their bytes. Names are relative to the root.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    pub folders: BTreeSet<PathBuf>,
    pub files: BTreeMap<PathBuf, Vec<u8>>,
}

impl Image {
    /// The files beneath a folder as they are now.
    pub fn of(root: &Path, folders: &[&str]) -> Image {
        let mut image = Image { folders: folders.iter().map(PathBuf::from).collect(), ..Image::default() };
        for folder in folders {
            for entry in std::fs::read_dir(root.join(folder)).unwrap() {
                let path = entry.unwrap().path();
                image.files.insert(path.strip_prefix(root).unwrap().to_owned(), std::fs::read(path).unwrap());
            }
        }
        image
    }

    /// Writes it out.
    pub fn write(&self, root: &Path) {
        use std::os::unix::fs::DirBuilderExt as _;
        for folder in &self.folders {
            std::fs::DirBuilder::new().mode(0o700).recursive(true).create(root.join(folder)).unwrap();
        }
        for (path, bytes) in &self.files {
            std::fs::write(root.join(path), bytes).unwrap();
        }
    }
}

type Moment = usize;

#[derive(Debug)]
enum Change {
    Write(u64, Vec<u8>),
    Size(u64),
}

#[derive(Debug)]
struct Op {
    begin: Moment,
    end: Moment,
    change: Change,
}

#[derive(Debug, Default)]
struct Node {
    base: Vec<u8>,
    ops: Vec<Op>,
    syncs: Vec<(Moment, Moment)>,
    /// Whether anything but bytes in place was changed since the last sync.
    grown: bool,
    len: u64,
}

/// From some moment on a name stands for this: a file, a folder, or nothing.
#[derive(Debug)]
struct Bind {
    begin: Moment,
    end: Moment,
    to: Option<usize>,
}

/// Everything that happened to the files beneath a root.
#[derive(Debug, Default)]
pub struct Disk {
    nodes: Vec<Node>,
    folders: BTreeSet<usize>,
    names: BTreeMap<PathBuf, Vec<Bind>>,
    /// Syncs with which an ext4 stores all names and sizes so far.
    commits: Vec<(Moment, Moment)>,
}

const ALWAYS: Moment = 0;

impl Disk {
    /// A disk that began with an image, all of it durable, and lived through calls.
    pub fn new<'c>(start: &Image, root: &Path, calls: impl IntoIterator<Item = &'c Call>) -> Disk {
        let mut disk = Disk::default();
        disk.bind(Path::new(""), ALWAYS, ALWAYS, Some(Node::default()));
        disk.folders.insert(0);
        for folder in &start.folders {
            disk.bind(folder, ALWAYS, ALWAYS, Some(Node::default()));
            disk.folders.insert(disk.nodes.len() - 1);
        }
        for (path, base) in &start.files {
            let (base, len) = (base.clone(), base.len() as u64);
            disk.bind(path, ALWAYS, ALWAYS, Some(Node { base, len, ..Node::default() }));
        }
        for call in calls {
            disk.live(root, call);
        }
        disk
    }

    fn bind(&mut self, path: &Path, begin: Moment, end: Moment, node: Option<Node>) {
        let to = node.map(|node| {
            self.nodes.push(node);
            self.nodes.len() - 1
        });
        self.names.entry(path.to_owned()).or_default().push(Bind { begin, end, to });
    }

    fn now(&self, path: &Path) -> Option<usize> {
        self.names.get(path)?.last()?.to
    }

    fn live(&mut self, root: &Path, call: &Call) {
        let (begin, end) = (call.begin + 1, call.end + 1);
        let inside = |path: &Path| path.strip_prefix(root).unwrap().to_owned();
        match &call.act {
            Act::Make(path) if self.now(&inside(path)).is_none() => {
                self.bind(&inside(path), begin, end, Some(Node { grown: true, ..Node::default() }));
            }
            Act::Folder(path) if self.now(&inside(path)).is_none() => {
                self.bind(&inside(path), begin, end, Some(Node { grown: true, ..Node::default() }));
                self.folders.insert(self.nodes.len() - 1);
            }
            Act::Make(_) | Act::Folder(_) | Act::Say { .. } | Act::Hear { .. } => {}
            Act::Remove(path) => self.bind(&inside(path), begin, end, None),
            Act::Rename(from, to) => {
                let node = self.now(&inside(from));
                self.bind(&inside(from), begin, end, None);
                self.names.entry(inside(to)).or_default().push(Bind { begin, end, to: node });
            }
            Act::Write { path, at, bytes } => self.write(&inside(path), call, Some(*at), bytes),
            Act::Append { path, bytes } => self.write(&inside(path), call, None, bytes),
            Act::Size { path, len } => {
                let node = self.now(&inside(path)).unwrap_or_else(|| panic!("{path:?} is not there"));
                let node = &mut self.nodes[node];
                node.grown |= node.len != *len;
                node.len = *len;
                node.ops.push(Op { begin, end, change: Change::Size(*len) });
            }
            Act::Sync { path, data } => {
                let Some(at) = self.now(&inside(path)) else { return };
                let node = &mut self.nodes[at];
                node.syncs.push((begin, end));
                if node.grown || !data || self.folders.contains(&at) {
                    node.grown = false;
                    self.commits.push((begin, end));
                }
            }
        }
    }

    /// Bytes at a place in a file, or at its end.
    fn write(&mut self, path: &Path, call: &Call, at: Option<u64>, bytes: &[u8]) {
        let node = self.now(path).unwrap_or_else(|| panic!("a write to {path:?}, which is not there"));
        let node = &mut self.nodes[node];
        let at = at.unwrap_or(node.len);
        let after = at + bytes.len() as u64;
        node.grown |= after > node.len;
        node.len = node.len.max(after);
        node.ops.push(Op { begin: call.begin + 1, end: call.end + 1, change: Change::Write(at, bytes.to_vec()) });
    }

    /// What a power cut at a moment (a line of the log) may leave. `losing` = the folder whose files keep nothing that was
    /// not synced, while all others keep everything; none = each keeps what chance leaves it.
    pub fn image(&self, cut: usize, kind: Kind, losing: Option<&str>, dice: &mut fastrand::Rng) -> Image {
        let cut = cut + 1;
        let sector = if kind == Kind::Strict || dice.bool() { 512 } else { 4096 };
        // Up to where an ext4 has stored names and sizes: as far as a sync has made sure, or any further.
        let sure = self.commits.iter().filter(|(_, end)| *end <= cut).map(|(begin, _)| *begin).max().unwrap_or(0);
        let stored = match dice.u32(..4) {
            _ if losing.is_some() => cut,
            0 => sure,
            1 => cut,
            _ => dice.usize(sure..=cut),
        };
        let mut image = Image::default();
        let mut there = BTreeMap::from([(PathBuf::new(), 0)]);
        // A folder's name sorts before the names in it.
        for (path, binds) in self.names.iter().skip(1) {
            let Some(folder) = path.parent().and_then(|parent| there.get(parent)) else { continue };
            // How likely it is that what was not synced is there: nothing, all of it, and between.
            let kept = match losing {
                Some(losing) => f64::from(u8::from(!path.starts_with(losing))),
                None => [0.0, 0.5, 0.9, 1.0][dice.usize(..4)],
            };
            let binds: Vec<&Bind> = binds.iter().filter(|bind| bind.begin <= cut).collect();
            let bind = match kind {
                Kind::Ext4 => binds.iter().rfind(|bind| bind.end <= stored),
                Kind::Strict => {
                    let by = last_sync(&self.nodes[*folder], cut);
                    let sure = binds.iter().rposition(|bind| bind.end < by || bind.end == ALWAYS);
                    // Before a name that is sure to be there lies the time when it was not.
                    let first = sure.map_or(0, |sure| sure + 1);
                    let chosen = match losing {
                        Some(_) if kept == 0.0 => first,
                        Some(_) => binds.len(),
                        None => dice.usize(first..=binds.len()),
                    };
                    chosen.checked_sub(1).map(|at| &binds[at])
                }
            };
            let Some(node) = bind.and_then(|bind| bind.to) else { continue };
            if self.folders.contains(&node) {
                image.folders.insert(path.clone());
                there.insert(path.clone(), node);
            } else {
                let bytes = self.nodes[node].content(cut, stored, kind, sector, kept, dice);
                image.files.insert(path.clone(), bytes);
            }
        }
        image
    }
}

impl Node {
    /// Its bytes after a power cut. `kept` = how likely it is that a sector which was not synced was stored.
    fn content(
        &self,
        cut: Moment,
        stored: Moment,
        kind: Kind,
        sector: u64,
        kept: f64,
        dice: &mut fastrand::Rng,
    ) -> Vec<u8> {
        let by = last_sync(self, cut);
        let mut bytes = self.base.clone();
        let mut len = bytes.len() as u64;
        let mut stopped: BTreeSet<u64> = BTreeSet::new();
        for op in self.ops.iter().take_while(|op| op.begin <= cut) {
            let sure = op.end < by;
            match &op.change {
                Change::Write(at, data) => {
                    let mut from = 0;
                    while from < data.len() {
                        let place = at + from as u64;
                        let until = (place / sector + 1) * sector;
                        let to = data.len().min(usize::try_from(until - at).unwrap());
                        // A sector that was left at an earlier moment has none of what was written later.
                        if sure || (!stopped.contains(&(place / sector)) && dice.f64() < kept) {
                            let place = usize::try_from(place).unwrap();
                            bytes.resize(bytes.len().max(place + to - from), 0);
                            bytes[place..place + to - from].copy_from_slice(&data[from..to]);
                        } else {
                            stopped.insert(place / sector);
                        }
                        from = to;
                    }
                    if sure || op.end <= stored {
                        len = len.max(at + data.len() as u64);
                    }
                }
                Change::Size(to) => {
                    let done = sure || if kind == Kind::Ext4 { op.end <= stored } else { dice.f64() < kept };
                    if done {
                        bytes.resize(usize::try_from(*to).unwrap(), 0);
                        len = *to;
                        stopped.clear();
                    } else if kind == Kind::Ext4 {
                        // What is written after a change of size that is not stored lies in blocks that are not stored.
                        break;
                    }
                }
            }
        }
        if kind == Kind::Ext4 {
            bytes.resize(usize::try_from(len).unwrap(), 0);
        }
        bytes
    }
}

/// When the last sync that had ended by a moment began: what had ended before that is durable.
fn last_sync(node: &Node, cut: Moment) -> Moment {
    node.syncs.iter().filter(|(_, end)| *end <= cut).map(|(begin, _)| *begin).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of 400 images after such calls: how many have the whole new file, and how many have a part of it.
    fn outcome(kind: Kind, calls: &[Act]) -> (usize, usize) {
        let calls: Vec<Call> = calls
            .iter()
            .enumerate()
            .map(|(at, act)| Call { thread: 1, begin: at, end: at, act: act.clone() })
            .collect();
        let start = Image { folders: BTreeSet::from([PathBuf::from("out")]), ..Image::default() };
        let disk = Disk::new(&start, Path::new("/r"), &calls);
        let mut dice = fastrand::Rng::with_seed(1);
        let (mut whole, mut part) = (0, 0);
        for _ in 0..400 {
            match disk.image(calls.len(), kind, None, &mut dice).files.get(Path::new("out/new")) {
                Some(bytes) if *bytes == text() => whole += 1,
                Some(_) => part += 1,
                None => {}
            }
        }
        (whole, part)
    }

    fn text() -> Vec<u8> {
        (0..9000_u32).map(|n| (n % 250 + 1) as u8).collect()
    }

    #[test]
    fn the_disk_loses_what_was_not_synced_and_nothing_else() {
        let path = |name: &str| PathBuf::from("/r/out").join(name);
        let write = |name: &str| [Act::Make(path(name)), Act::Write { path: path(name), at: 0, bytes: text() }];
        let sync = |name: &str| Act::Sync { path: path(name), data: false };
        let rename = || Act::Rename(path("tmp"), path("new"));
        for kind in [Kind::Ext4, Kind::Strict] {
            let (whole, part) = outcome(kind, &write("new"));
            assert!(whole < 300 && part > 100, "{kind:?}: written in place: {whole} whole, {part} in part");
            let [make, bytes] = write("tmp");
            let (whole, part) = outcome(kind, &[make.clone(), bytes.clone(), rename()]);
            assert!(whole < 300 && part > 50, "{kind:?}: not synced, renamed: {whole} whole, {part} in part");
            let (whole, part) = outcome(kind, &[make.clone(), bytes.clone(), sync("tmp"), rename()]);
            assert!(whole < 350 && part == 0, "{kind:?}: the folder not synced: {whole} whole, {part} in part");
            let safe = [make, bytes, sync("tmp"), rename(), sync("")];
            assert_eq!(outcome(kind, &safe), (400, 0), "{kind:?}: all synced");
        }
        let [make, bytes] = write("new");
        assert_eq!(outcome(Kind::Ext4, &[make.clone(), bytes.clone(), sync("new")]), (400, 0));
        let (whole, part) = outcome(Kind::Strict, &[make, bytes, sync("new")]);
        assert!(whole < 300 && part == 0, "strict: the name alone is lost: {whole} whole, {part} in part");
    }
}
