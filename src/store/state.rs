//! The agent's own state file: one writer, any number of readers.
//!
//! WAL, `synchronous=FULL`, `secure_delete`: one commit here makes a group of attempts durable. Who can edit the
//! business data cannot edit the proof, because it stands in this file and not in the application's.

pub mod account;
pub mod act;
pub mod alert;
pub mod amended;
pub mod ask;
pub mod attempt;
pub mod audit;
mod backup;
pub mod batch;
pub mod belief;
pub mod chain;
mod checkpoint;
pub mod conflict;
pub mod connector;
pub mod counter;
pub mod cursor;
pub mod drops;
pub mod facts;
mod fault;
pub mod health;
pub mod intake;
pub mod leftover;
pub mod link;
pub mod log;
pub mod pace;
pub mod parked;
pub mod pull;
pub mod segment;

use std::fs::{File, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension as _, TransactionBehavior};

pub use fault::StateError;

/// Row number of a connector in the state file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectorId(pub i64);

/// Row number of a log in the state file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LogId(pub i64);

/// What the functions of this module work on: the state file inside a transaction or snapshot.
pub type Db = Connection;

/// Result of a state file operation inside a transaction; the path is added at the edge.
pub type Sql<T> = rusqlite::Result<T>;

/// Longest path that a unix socket can have (sun_path less its NUL).
const LONGEST_SOCKET: usize = 107;
/// The version from which on attempts and acts are a chain.
const CHAINED: i64 = 7;

/// The state file, open for writing, with the lock that only one agent can hold.
#[derive(Debug)]
pub struct State {
    db: Connection,
    path: PathBuf,
    lock: File,
    /// A sync has failed: nothing is written, and above all nothing synced, by this connection any more.
    broken: bool,
}

/// The state file, open for reading only; never blocks the agent.
#[derive(Debug)]
pub struct StateReader {
    db: Connection,
    path: PathBuf,
}

impl State {
    /// Opens or makes the state file and takes its lock.
    ///
    /// # Errors
    /// [`StateError::Held`] within a second when another agent runs; the other variants as they say.
    pub fn open(path: &Path) -> Result<State, StateError> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        make_folder(folder).map_err(|error| StateError::Folder { path: folder.to_owned(), error })?;
        let lock = take_lock(path, folder)?;
        // SQLite gives its -wal and -shm the mode of the file: its owner's alone, whatever the folder's mode and the umask.
        // Only a new one is opened here: closing one that SQLite has open drops its locks.
        match File::options().write(true).create_new(true).mode(0o600).open(path) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                return Err(StateError::Folder { path: path.to_owned(), error });
            }
            _ => {}
        }
        if std::fs::metadata(path).is_ok_and(|file| file.len() == 0) {
            make_wal(path)?;
        }
        let at = |error| StateError::of(path, error);
        let mut db = Connection::open_with_flags(
            path,
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )
        .map_err(at)?;
        configure(&db).map_err(at)?;
        db.pragma_update(None, "journal_mode", "WAL").map_err(at)?;
        db.pragma_update(None, "synchronous", "FULL").map_err(at)?;
        db.pragma_update(None, "secure_delete", "ON").map_err(at)?;
        checkpoint::aloud(&mut db).map_err(at)?;
        let facts = migrate(&mut db, path).and_then(|()| first_facts(&db).map_err(at));
        let mut state = State { db, path: path.to_owned(), lock, broken: false };
        state.heed(facts)?;
        // SQLite syncs the folder only for a -wal that it made itself, and a reader may have made this one.
        sync_folder(folder).map_err(|error| StateError::Folder { path: folder.to_owned(), error })?;
        Ok(state)
    }

    /// Runs `work` in one transaction and commits it durably; on an error nothing of it stays.
    ///
    /// # Errors
    /// After [`StateError::Broken`] every further commit is refused in the same words, without touching the file.
    pub fn commit<T>(&mut self, work: impl FnOnce(&Connection) -> Sql<T>) -> Result<T, StateError> {
        if self.broken {
            let failed = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR_FSYNC);
            let error = rusqlite::Error::SqliteFailure(failed, Some("an earlier sync has failed".to_owned()));
            return Err(StateError::Broken { path: self.path.clone(), error });
        }
        let at = |error| StateError::of(&self.path, error);
        let done = self.db.transaction_with_behavior(TransactionBehavior::Immediate).and_then(|transaction| {
            let value = work(&transaction)?;
            transaction.commit()?;
            Ok(value)
        });
        let done = done.map_err(at);
        self.heed(done)
    }

    /// After a failed sync the kernel may call clean what never reached the disk: another sync would succeed and prove
    /// nothing. So there is none, not even the one of the checkpoint when the connection is closed.
    fn heed<T>(&mut self, done: Result<T, StateError>) -> Result<T, StateError> {
        if done.as_ref().is_err_and(StateError::is_broken) {
            self.broken = true;
            if let Err(error) = checkpoint::never(&self.db) {
                ::log::error!("{}: {error}", self.path.display());
            }
        }
        done
    }

    /// Reads on the writer's connection.
    pub fn read<T>(&self, work: impl FnOnce(&Connection) -> Sql<T>) -> Result<T, StateError> {
        work(&self.db).map_err(|error| StateError::of(&self.path, error))
    }

    /// Writes down beside the lock where the agent listens, so that the command line finds it, from whatever folder it asks.
    pub fn announce(&mut self, socket: &Path) -> std::io::Result<()> {
        let whole = std::path::absolute(socket)?;
        // A longer path no system connects to; as it was told it may be short enough, from the agent's own folder.
        let short = whole.as_os_str().len() <= LONGEST_SOCKET;
        writeln!(self.lock, "{}", if short { &whole } else { socket }.display())
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl StateReader {
    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens an existing state file for reading.
    pub fn open(path: &Path) -> Result<StateReader, StateError> {
        if !path.exists() {
            return Err(StateError::Absent(path.to_owned()));
        }
        let at = |error| StateError::of(path, error);
        let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)
            .map_err(at)?;
        configure(&db).map_err(at)?;
        checkpoint::leave(&db).map_err(at)?;
        let found = version(&db).map_err(at)?;
        if found == 0 {
            return Err(StateError::Absent(path.to_owned()));
        }
        let known = newest();
        if found > known {
            return Err(StateError::Newer { path: path.to_owned(), found, known });
        }
        Ok(StateReader { db, path: path.to_owned() })
    }

    /// Whether its attempts and acts are a chain: an older program has written it, and no newer one since.
    pub fn is_chained(&mut self) -> Result<bool, StateError> {
        self.read(|db| Ok(version(db)? >= CHAINED))
    }

    /// Reads in one snapshot.
    pub fn read<T>(&mut self, work: impl FnOnce(&Connection) -> Sql<T>) -> Result<T, StateError> {
        let at = |error| StateError::of(&self.path, error);
        let snapshot = self.db.transaction().map_err(at)?;
        let value = work(&snapshot).map_err(at)?;
        snapshot.finish().map_err(at)?;
        Ok(value)
    }
}

/// A second connection for bulk work of the agent's own beside the writer: short transactions, not synced by
/// themselves (the writer's next commit takes them along). For what can be computed again, never for what was sent.
#[derive(Debug)]
pub struct SideState {
    db: Connection,
}

impl SideState {
    /// Opens it; the state file is there already and locked by this process.
    pub fn open(path: &Path) -> Result<SideState, StateError> {
        let at = |error| StateError::of(path, error);
        let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)
            .map_err(at)?;
        configure(&db).map_err(at)?;
        checkpoint::leave(&db).map_err(at)?;
        db.pragma_update(None, "synchronous", "NORMAL").map_err(at)?;
        db.pragma_update(None, "secure_delete", "ON").map_err(at)?;
        Ok(SideState { db })
    }

    /// What the store's functions work on.
    pub fn db(&self) -> &Db {
        &self.db
    }
}

fn make_folder(folder: &Path) -> std::io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let made: Vec<&Path> = folder.ancestors().take_while(|path| !path.exists()).collect();
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)?;
    // The new names must not go in a power cut: the application's file would be left with an owner that nobody knows.
    made.iter().filter_map(|path| path.parent()).try_for_each(sync_folder)
}

/// Makes the names in a folder durable.
fn sync_folder(folder: &Path) -> std::io::Result<()> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    File::open(folder)?.sync_all()
}

/// The lock is the kernel's and goes with the process, so a kill -9 leaves nothing stuck.
fn take_lock(path: &Path, folder: &Path) -> Result<File, StateError> {
    let failed = |error| StateError::Folder { path: folder.to_owned(), error };
    let mut lock = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(lock_path(path))
        .map_err(failed)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            lock.read_to_string(&mut holder).map_err(failed)?;
            let holder = holder.lines().next().unwrap_or("unknown").to_owned();
            return Err(StateError::Held { path: path.to_owned(), holder });
        }
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    }
    lock.set_len(0).and_then(|()| lock.rewind()).map_err(failed)?;
    writeln!(lock, "{}", std::process::id()).map_err(failed)?;
    Ok(lock)
}

/// The lock file of a state file.
fn lock_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    PathBuf::from(name)
}

/// Who holds a state file now; none = nobody, or it cannot be told.
pub fn holder(path: &Path) -> Option<Holder> {
    let mut lock = File::open(lock_path(path)).ok()?;
    // A shared lock is refused while an agent holds the exclusive one, and is gone again when `lock` is.
    match lock.try_lock_shared() {
        Err(TryLockError::WouldBlock) => {}
        _ => return None,
    }
    let mut text = String::new();
    lock.read_to_string(&mut text).ok()?;
    let mut lines = text.lines();
    Some(Holder { process: lines.next()?.trim().to_owned(), socket: lines.next().map(PathBuf::from) })
}

/// The agent that holds a state file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its process number.
    pub process: String,
    /// Its socket, once it listens.
    pub socket: Option<PathBuf>,
}

fn configure(db: &Connection) -> Sql<()> {
    db.busy_timeout(Duration::from_secs(5))?;
    db.set_prepared_statement_cache_capacity(64);
    db.pragma_update(None, "cache_size", super::SMALL_CACHE)?;
    db.pragma_update(None, "mmap_size", 0)
}

/// Makes a new file one with a write-ahead log. SQLite would sync it in rollback mode, and after a failed sync roll back and
/// sync again, which proves nothing: so it is not to, and the file is synced here, once, before anything is in it.
fn make_wal(path: &Path) -> Result<(), StateError> {
    let at = |error| StateError::of(path, error);
    let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)
        .map_err(at)?;
    configure(&db).map_err(at)?;
    db.pragma_update(None, "synchronous", "OFF").map_err(at)?;
    db.pragma_update(None, "journal_mode", "WAL").map_err(at)?;
    db.close().map_err(|(_, error)| at(error))?;
    // Nobody has it open any more whose locks closing this would drop.
    File::open(path).and_then(|file| file.sync_all()).map_err(|_| {
        let failed = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR_FSYNC);
        at(rusqlite::Error::SqliteFailure(failed, None))
    })
}

fn version(db: &Connection) -> Sql<i64> {
    db.query_row("PRAGMA user_version", [], |row| row.get(0))
}

/// The version of this program; `user_version` counts the schemas.
fn newest() -> i64 {
    i64::try_from(super::state_schemas().count()).unwrap_or(i64::MAX)
}

fn migrate(db: &mut Connection, path: &Path) -> Result<(), StateError> {
    let at = |error| StateError::of(path, error);
    let known = newest();
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(at)?;
    let found = version(&transaction).map_err(at)?;
    if found > known {
        return Err(StateError::Newer { path: path.to_owned(), found, known });
    }
    for schema in super::state_schemas().skip(usize::try_from(found).unwrap_or(0)) {
        transaction.execute_batch(schema).map_err(at)?;
    }
    if found < CHAINED {
        chain::begin(&transaction, crate::clock::now()).map_err(at)?;
    }
    transaction.pragma_update(None, "user_version", known).map_err(at)?;
    transaction.commit().map_err(at)
}

/// Random facts that an installation is given once.
fn first_facts(db: &Connection) -> Sql<()> {
    for name in ["instance", "intake_epoch", "mac_key"] {
        db.execute("INSERT OR IGNORE INTO meta(k, v) VALUES (?1, randomblob(32))", [name])?;
    }
    Ok(())
}

/// A random fact of this installation: `instance`, `intake_epoch` or `mac_key`; 32 bytes.
pub fn fact(db: &Connection, name: &str) -> Sql<[u8; 32]> {
    db.prepare_cached("SELECT v FROM meta WHERE k = ?1")?.query_row([name], |row| row.get(0))
}

/// Whether there is such a table: a reader may have a file that an older version has made.
fn has_table(db: &Connection, name: &str) -> Sql<bool> {
    db.prepare_cached("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1")?.exists([name])
}

/// A text noted under a name, if any.
pub fn note(db: &Connection, name: &str) -> Sql<Option<String>> {
    db.query_row("SELECT v FROM meta WHERE k = ?1", [name], |row| row.get(0)).optional()
}

/// Notes a text under a name.
pub fn set_note(db: &Connection, name: &str, text: &str) -> Sql<()> {
    db.execute("INSERT INTO meta(k, v) VALUES (?1, ?2) ON CONFLICT(k) DO UPDATE SET v = excluded.v", (name, text))?;
    Ok(())
}

/// The state file's journal mode; the agent sets `wal`.
pub fn journal(db: &Connection) -> Sql<String> {
    db.query_row("PRAGMA journal_mode", [], |row| row.get(0))
}

/// What SQLite's own quick check finds wrong with the file; reads all of it.
pub fn quick_check(db: &Connection) -> Sql<Vec<String>> {
    let mut found: Vec<String> =
        db.prepare("PRAGMA quick_check(10)")?.query_map([], |row| row.get(0))?.collect::<Sql<_>>()?;
    found.retain(|line| line != "ok");
    Ok(found)
}

/// How SQLite goes about a statement, for tests: a look-up must not read a whole table.
#[cfg(test)]
#[allow(clippy::unwrap_used)]
fn plan(db: &Connection, sql: &str) -> Vec<String> {
    let mut statement = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let blank = vec![rusqlite::types::Value::Integer(1); statement.parameter_count()];
    let read = |row: &rusqlite::Row<'_>| row.get::<_, String>(3);
    statement.query_map(rusqlite::params_from_iter(blank), read).unwrap().collect::<Sql<_>>().unwrap()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_second_agent_on_one_state_file_is_refused_and_told_who_holds_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        let first = State::open(&path).unwrap();
        match State::open(&path) {
            Err(StateError::Held { holder, .. }) => assert_eq!(holder, std::process::id().to_string()),
            other => unreachable!("{other:?}"),
        }
        drop(first);
        State::open(&path).unwrap();
    }

    #[test]
    fn a_state_file_of_a_newer_version_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        drop(State::open(&path).unwrap());
        Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
        assert!(matches!(State::open(&path), Err(StateError::Newer { found: 99, .. })));
        assert!(matches!(StateReader::open(&path), Err(StateError::Newer { found: 99, .. })));
    }

    #[test]
    fn a_transaction_that_fails_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let mut state = State::open(&folder.path().join("state.db")).unwrap();
        let failed = state.commit(|db| {
            set_note(db, "x", "y")?;
            db.execute("INSERT INTO nowhere VALUES (1)", [])
        });
        assert!(failed.is_err());
        assert_eq!(state.read(|db| note(db, "x")).unwrap(), None);
    }
}
