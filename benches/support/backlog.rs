//! Backlogs of any size, each made once a run and used by every bench that wants it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use tempfile::TempDir;

use super::{agent, authority, office};
use crate::drain::copy;

/// Records of every backlog: the same share of new and of changed records whatever its size.
pub const RECORDS: u64 = 2000;

static MADE: Mutex<BTreeMap<u64, Arc<Backlog>>> = Mutex::new(BTreeMap::new());

/// An office with events that nobody has had yet.
pub struct Backlog {
    place: TempDir,
    /// Bytes of the application's file.
    pub bytes: u64,
}

/// The backlog of so many events, a multiple of [`RECORDS`].
pub fn of(events: u64) -> Arc<Backlog> {
    Arc::clone(MADE.lock().unwrap().entry(events).or_insert_with(|| Arc::new(Backlog::make(events))))
}

/// Removes them all from the disk; to be called when the run ends, because what is static is never dropped.
pub fn remove() {
    MADE.lock().unwrap().clear();
}

impl Backlog {
    fn make(events: u64) -> Backlog {
        let place = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let folder = place.path().join("office");
        std::fs::create_dir_all(folder.join("state")).unwrap();
        authority::make(place.path());
        let db = office::open(&folder.join("office.db"));
        db.execute_batch(office::TABLE).unwrap();
        agent::configure(&folder, place.path(), 1, 1, 1);
        agent::prepare(&folder);
        // Nobody needs this file after a crash, and a large one is to be there soon.
        db.execute_batch("PRAGMA synchronous=OFF; PRAGMA wal_autocheckpoint=20000; UPDATE hms_sync_ctl SET cap = 1e15")
            .unwrap();
        let records = i64::try_from(RECORDS).unwrap();
        office::batches(&db, 1, records + 1, records, office::insert);
        for _ in 1..events / RECORDS {
            db.execute("UPDATE appointments SET n = n + 1, minutes = minutes % 60 + 5, status = 'moved'", []).unwrap();
        }
        db.pragma_update(None, "wal_checkpoint", "TRUNCATE").unwrap();
        let captured: i64 = db.query_row("SELECT count(*) FROM hms_sync_outbox", [], |row| row.get(0)).unwrap();
        assert_eq!(captured, events as i64, "capture has left some out");
        drop(db);
        std::fs::File::open(folder.join("office.db")).unwrap().sync_all().unwrap();
        let bytes = std::fs::metadata(folder.join("office.db")).unwrap().len();
        copy(&folder.join("state"), &place.path().join("state"));
        Backlog { place, bytes }
    }

    /// Folder of the authority.
    pub fn authority(&self) -> &Path {
        self.place.path()
    }

    /// The agent's folder, with nothing delivered: the state is put back as it was before the first event. The
    /// application's file stays, because delivering removes nothing from it for days.
    pub fn fresh(&self) -> PathBuf {
        let folder = self.place.path().join("office");
        std::fs::remove_dir_all(folder.join("state")).unwrap();
        std::fs::remove_dir_all(folder.join("connectors")).unwrap();
        copy(&self.place.path().join("state"), &folder.join("state"));
        folder
    }
}
