-- HMS-SYNC: the tables of both files, with the reasons. The agent reads this very file; the line of equals
-- signs below parts what goes into the application's file from what goes into the agent's own state file.

-- ===== the application's file =====

-- Written by triggers inside the application's own SQLite, which may be as old as 3.26: no types, no
-- constraints and no index on what a trigger writes. A constraint under an outer INSERT OR IGNORE would drop
-- the event in silence; a type would change a value; a STRICT table would make the file unreadable there.

-- What the agent must find again in this very file: `format`, `owner` (the agent's id), `epoch/<from seq>`
-- (16 random bytes, valid from that seq on), `table/<tid>` and `version/<tid>/<ver>` (JSON: which columns a
-- captured row holds, under which names). Triggers never read it.
CREATE TABLE hms_sync_meta (k PRIMARY KEY, v);

-- One row. `origin`: the connector whose pull writes now, set and reset inside that one transaction. The valve:
-- with `cap` rows beyond `acked` a trigger sets `closed`; from then on changes are only counted in hms_sync_lost,
-- so that the application goes on when the agent is away for months. The agent opens it again.
CREATE TABLE hms_sync_ctl (id INTEGER PRIMARY KEY, origin, acked, cap, closed);
INSERT INTO hms_sync_ctl VALUES (1, NULL, 0, 1000000, NULL);

-- One row for each watched table: how many changes were not captured.
CREATE TABLE hms_sync_lost (tid INTEGER PRIMARY KEY, n);

-- Rows that a REPLACE may remove (SQLite fires no trigger for them), with their image in c0, c1...; op is 'D',
-- or 'K' when the image is stale and only the key counts. Emptied by the AFTER trigger of the same statement.
CREATE TABLE hms_sync_cand (n INTEGER PRIMARY KEY, tid, op);

-- The log. One row for each change; seq is commit order, because SQLite has one writer.
--   op  I insert | U update | M update that moved the key | D delete | K delete, key only |
--       R current image again (synthetic) | G gone (synthetic delete, key only)
--   ver version of the catalogue that names the columns; dest: the one connector a synthetic row is for
--   m0, m1...  U and M only: 60 bits each, one for a column whose old value was NULL
--   c0, c1...  the image, in the version's column order; of K and G only the key columns are set
--   p0, p1...  U and M only: the old values of the columns that changed, else NULL
-- c, p, m and the c of hms_sync_cand are added as the widest watched table needs them.
CREATE TABLE hms_sync_outbox (seq INTEGER PRIMARY KEY AUTOINCREMENT, tid, op, ver, origin, dest,
  nonce DEFAULT (randomblob(8)), at DEFAULT (julianday('now')));

-- ===== the agent's state file =====

-- shadow
-- The baseline of reconcile: a hash of each record's image as the log last told it; key and hash are encoded by
-- the agent. shadow_at: kind '' holds the position up to which the log is in the shadow, a type's own row says
-- that its table was filled.
CREATE TABLE shadow (log TEXT NOT NULL, kind TEXT NOT NULL, key BLOB NOT NULL, hash BLOB NOT NULL,
  PRIMARY KEY (log, kind, key)) WITHOUT ROWID;
CREATE TABLE shadow_at (log TEXT NOT NULL, kind TEXT NOT NULL, seq INTEGER NOT NULL,
  PRIMARY KEY (log, kind)) WITHOUT ROWID;
