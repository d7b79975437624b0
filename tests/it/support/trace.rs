//! What processes did to their files and sockets, in order: a log of `strace -f -y`, read.

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};

/// The calls that [`read`] understands. A `?` is a call that not every machine has.
pub const CALLS: &str = "openat,?open,?creat,write,writev,pwrite64,pwritev,?pwritev2,ftruncate,truncate,fallocate,\
                         fsync,fdatasync,?rename,renameat,renameat2,?unlink,unlinkat,?link,linkat,?mkdir,mkdirat,?rmdir,\
                         copy_file_range,sendto,sendmsg,recvfrom,recvmsg,read,readv";

/// What one call did. Calls that failed are left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// A file was opened that may have been made by that.
    Make(PathBuf),
    Folder(PathBuf),
    Write {
        path: PathBuf,
        at: u64,
        bytes: Vec<u8>,
    },
    /// Bytes were written one after the other: behind what the file had, because it was opened anew or to append.
    Append {
        path: PathBuf,
        bytes: Vec<u8>,
    },
    Size {
        path: PathBuf,
        len: u64,
    },
    /// `fsync`, or (`data`) `fdatasync`.
    Sync {
        path: PathBuf,
        data: bool,
    },
    Remove(PathBuf),
    Rename(PathBuf, PathBuf),
    /// Bytes went out by a socket or pipe, or were written where no file is.
    Say {
        stream: String,
        bytes: Vec<u8>,
    },
    /// Bytes came in by a socket or pipe.
    Hear {
        stream: String,
    },
}

/// A call: between these two moments (lines of the log) it took effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The thread that made it.
    pub thread: u32,
    pub begin: usize,
    pub end: usize,
    pub act: Act,
}

/// The calls of a log, in the order in which they ended. `modelled` says which files matter: anything done to one of
/// them that cannot be read here fails the test, so that what is built on the log never lies.
pub fn read(log: &[u8], modelled: impl Fn(&Path) -> bool) -> Vec<Call> {
    let mut open: HashMap<&[u8], (usize, Vec<u8>)> = HashMap::new();
    let mut calls = Vec::new();
    for (number, line) in log.split(|byte| *byte == b'\n').enumerate() {
        let Some(space) = line.iter().position(|byte| *byte == b' ') else { continue };
        let (pid, rest) = (&line[..space], line[space..].trim_ascii_start());
        if rest.starts_with(b"+++") || rest.starts_with(b"---") {
            continue;
        }
        if let Some(begun) = rest.strip_suffix(b" <unfinished ...>") {
            open.insert(pid, (number, begun.to_vec()));
            continue;
        }
        let resumed = rest.strip_prefix(b"<... ").and_then(|rest| {
            let at = rest.windows(9).position(|nine| nine == b" resumed>")?;
            Some(&rest[at + 9..])
        });
        let (begin, text) = match resumed {
            Some(rest) => {
                let Some((begin, mut text)) = open.remove(pid) else { continue };
                text.extend_from_slice(rest);
                (begin, text)
            }
            None => (number, rest.to_vec()),
        };
        if let Some(act) = act(&text, &modelled) {
            let thread = std::str::from_utf8(pid).unwrap().parse().unwrap();
            calls.push(Call { thread, begin, end: number, act });
        }
    }
    calls
}

/// One whole call; none when it failed or does not matter.
fn act(text: &[u8], modelled: &impl Fn(&Path) -> bool) -> Option<Act> {
    let paren = text.iter().position(|byte| *byte == b'(')?;
    let name = std::str::from_utf8(&text[..paren]).ok()?;
    let (args, result) = split(&text[paren + 1..]);
    let result = result?;
    let fd = || Fd::of(args.first().copied().unwrap_or_default());
    let path = |at: usize| -> Option<PathBuf> {
        let text = String::from_utf8(quoted(args.get(at).copied()?)).ok()?;
        (!text.is_empty()).then(|| plain(Path::new(&text)))
    };
    let number = |at: usize| std::str::from_utf8(args[at]).unwrap().parse::<u64>().unwrap();
    let bytes = |at: usize| {
        let mut bytes = quoted(args.get(at).copied().unwrap_or_default());
        bytes.truncate(usize::try_from(result).unwrap());
        bytes
    };
    let act = match name {
        "openat" | "open" | "creat" => {
            let at = usize::from(name == "openat");
            let flags = args.get(at + 1).copied().unwrap_or_default();
            let made = path(at).filter(|path: &PathBuf| modelled(path))?;
            let has = |flag: &[u8]| flags.windows(flag.len()).any(|part| part == flag);
            assert!(name != "creat" && !has(b"O_TRUNC"), "not modelled: {name} {made:?}");
            has(b"O_CREAT").then_some(Act::Make(made))
        }
        "mkdir" | "mkdirat" => path(usize::from(name == "mkdirat")).map(Act::Folder),
        "unlink" | "unlinkat" => path(usize::from(name == "unlinkat")).map(Act::Remove),
        "rename" => Some(Act::Rename(path(0)?, path(1)?)),
        "renameat" | "renameat2" => Some(Act::Rename(path(1)?, path(3)?)),
        "fsync" | "fdatasync" => {
            let fd = fd().filter(|fd| fd.path().is_some())?;
            Some(Act::Sync { path: fd.path()?, data: name == "fdatasync" })
        }
        "pwrite64" => {
            let path = fd()?.path()?;
            Some(Act::Write { path, at: number(3), bytes: bytes(1) })
        }
        "ftruncate" => Some(Act::Size { path: fd()?.path()?, len: number(1) }),
        "write" | "sendto" | "writev" | "sendmsg" => {
            let fd = fd()?;
            if let Some(path) = fd.path() {
                let matters = modelled(&path);
                assert!(!matters || name == "write", "not modelled: {name} {path:?}");
                return matters.then(|| Act::Append { path, bytes: bytes(1) });
            }
            let bytes = if name == "write" || name == "sendto" {
                bytes(1)
            } else {
                let mut bytes = vectors(args[1]);
                bytes.truncate(usize::try_from(result).unwrap());
                bytes
            };
            Some(Act::Say { stream: fd.0, bytes })
        }
        "read" | "readv" | "recvfrom" | "recvmsg" => {
            let fd = fd()?;
            (fd.path().is_none() && result > 0).then_some(Act::Hear { stream: fd.0 })
        }
        _ => {
            let touched = [fd().and_then(|fd| fd.path()), path(0), path(1), path(3)];
            let touched = touched.into_iter().flatten().find(|path| modelled(path));
            assert!(touched.is_none(), "not modelled: {name} {touched:?}");
            None
        }
    };
    act.filter(|act| match act {
        Act::Make(path) | Act::Folder(path) | Act::Remove(path) | Act::Rename(path, _) => modelled(path),
        Act::Write { path, .. } | Act::Append { path, .. } | Act::Size { path, .. } | Act::Sync { path, .. } => {
            modelled(path)
        }
        Act::Say { .. } | Act::Hear { .. } => true,
    })
}

/// Without `..`: nothing here is behind a symbolic link.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(plain.pop()),
            part => plain.push(part),
        }
    }
    plain
}

/// What a descriptor stands for, as `-y` tells it.
struct Fd(String);

impl Fd {
    /// None for a descriptor whose file has no name any more: nothing done to it can be seen after a power cut.
    fn of(arg: &[u8]) -> Option<Fd> {
        let text = String::from_utf8_lossy(arg);
        let (_, inner) = text.split_once('<')?;
        (!text.contains("(deleted)")).then(|| Fd(inner.trim_end_matches('>').to_owned()))
    }

    fn path(&self) -> Option<PathBuf> {
        self.0.starts_with('/').then(|| PathBuf::from(&self.0))
    }
}

/// The arguments, and the result when the call succeeded.
fn split(text: &[u8]) -> (Vec<&[u8]>, Option<i64>) {
    let (mut args, mut depth, mut from, mut at) = (Vec::new(), 0, 0, 0);
    while at < text.len() {
        match text[at] {
            b'"' => {
                at += 1;
                while at < text.len() && text[at] != b'"' {
                    at += 1 + usize::from(text[at] == b'\\');
                }
            }
            b'(' | b'[' | b'{' => depth += 1,
            b')' if depth == 0 => {
                args.push(text[from..at].trim_ascii());
                break;
            }
            b')' | b']' | b'}' => depth -= 1,
            b',' if depth == 0 => {
                args.push(text[from..at].trim_ascii());
                from = at + 1;
            }
            _ => {}
        }
        at += 1;
    }
    let rest = String::from_utf8_lossy(text.get(at + 1..).unwrap_or_default()).trim_start().to_owned();
    let digits = rest.strip_prefix("= ").unwrap_or_default();
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    (args, digits[..end].parse().ok())
}

/// The bytes of a string as strace writes it.
fn quoted(arg: &[u8]) -> Vec<u8> {
    let Some(text) = arg.strip_prefix(b"\"") else { return Vec::new() };
    assert!(arg.ends_with(b"\""), "strace has cut a string short: -s is too small");
    let text = &text[..text.len() - 1];
    let mut out = Vec::with_capacity(text.len() / 2);
    let mut at = 0;
    while at < text.len() {
        let byte = text[at];
        at += 1;
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        let escaped = text[at];
        at += 1;
        out.push(match escaped {
            b'0'..=b'7' => {
                let mut value = u32::from(escaped - b'0');
                for _ in 0..2 {
                    match text.get(at) {
                        Some(digit @ b'0'..=b'7') => value = value * 8 + u32::from(digit - b'0'),
                        _ => break,
                    }
                    at += 1;
                }
                u8::try_from(value).unwrap()
            }
            b'n' => b'\n',
            b't' => b'\t',
            b'r' => b'\r',
            b'v' => 11,
            b'f' => 12,
            b'"' | b'\\' => escaped,
            other => panic!("an escape that strace is not known to write: \\{}", char::from(other)),
        });
    }
    out
}

/// The bytes of an array of `{iov_base="...", iov_len=N}`.
fn vectors(arg: &[u8]) -> Vec<u8> {
    const BASE: &[u8] = b"iov_base=\"";
    let (mut out, mut at) = (Vec::new(), 0);
    while let Some(found) = arg[at..].windows(BASE.len()).position(|part| part == BASE) {
        let from = at + found + BASE.len() - 1;
        let mut end = from + 1;
        while arg[end] != b'"' {
            end += 1 + usize::from(arg[end] == b'\\');
        }
        out.extend(quoted(&arg[from..=end]));
        at = end;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_read_with_its_interrupted_calls_and_every_escape() {
        let log = br#"7  openat(AT_FDCWD</x>, "/a/db", O_RDWR|O_CREAT, 0644) = 3</a/db>
7  pwrite64(3</a/db>, "\0001\"\\\n\377,)", 8, 4096 <unfinished ...>
8  fdatasync(3</a/db>)     = 0
8  sendmsg(5<socket:[9]>, {msg_iov=[{iov_base="PUT ", iov_len=4}, {iov_base="x\"y", iov_len=3}], msg_iovlen=2}, 0) = 6
7  <... pwrite64 resumed>) = 8
7  unlink("/a/db") = -1 ENOENT (No such file or directory)
7  ftruncate(3</a/db>(deleted), 0) = 0
7  +++ exited with 0 +++
"#;
        let calls = read(log, |path| path.starts_with("/a"));
        let path = PathBuf::from("/a/db");
        let bytes = b"\x001\"\\\n\xff,)".to_vec();
        let say = Act::Say { stream: "socket:[9]".into(), bytes: b"PUT x\"".to_vec() };
        assert_eq!(
            calls,
            [
                Call { thread: 7, begin: 0, end: 0, act: Act::Make(path.clone()) },
                Call { thread: 8, begin: 2, end: 2, act: Act::Sync { path: path.clone(), data: true } },
                Call { thread: 8, begin: 3, end: 3, act: say },
                Call { thread: 7, begin: 1, end: 4, act: Act::Write { path, at: 4096, bytes } },
            ]
        );
    }
}
