-- HMS-SYNC: the tables of both files, with the reasons. The agent reads this very file; the two lines of
-- equals signs part what goes into the application's file from what goes into the agent's own state file.

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

-- One row a fact about this installation: `instance` (who owns this state), `intake_epoch`, `mac_key` (keys the
-- hashes of record keys in the attempt log, so that the log can answer "this record?" without holding the key).
-- And notes: `probe` (when a file that had refused was tried), `integrity`, `clock`, `account/<connector>`, `braked/<connector>`, `hold/<connector>` (`Retry-After`),
-- `asks/<log>/<type>` (a comparison that waits for a person), `compared/<log>` (when all its tables were compared last),
-- `positions/<source>` (how far an event source has come, as JSON), `lately/<what>/<connector>/<type>/<key>` (what happened to a record that is
-- pulled: refusals, contents that crossed, what was told anew).
CREATE TABLE meta (k TEXT PRIMARY KEY, v) WITHOUT ROWID;

-- A log that events are read from: one for each watched database, and `intake`, the agent's own. `seen` is what
-- the last poll found there (epoch, witness, schema), as JSON: the next poll is held against it. `witness_n`: up to
-- which attempt number the intents have been looked through for the witness.
CREATE TABLE log (
  id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, seen TEXT, witness_n INTEGER NOT NULL DEFAULT 0);

-- Events that come from outside any database (posted, subscribed). Same shape as the captured outbox: (log, seq).
-- `source` and `message` name a message at its origin, so that the same message is stored once.
CREATE TABLE intake (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, nonce BLOB NOT NULL, at INTEGER NOT NULL, kind TEXT NOT NULL,
  lane_key TEXT, payload BLOB NOT NULL, body_hash BLOB NOT NULL, source TEXT, message TEXT);
CREATE UNIQUE INDEX intake_message ON intake(source, message) WHERE message IS NOT NULL;

-- A connector, once known, is remembered until it is removed by hand: its cursor and dead letters outlive a
-- configuration in which it is missing. `mode`: running, paused (a person), halted (the target or its
-- configuration is wrong; probed), overflowed (left behind; healed by reconcile). `settled` = attempt number up
-- to which every intent has its outcome.
CREATE TABLE connector (
  id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, mode TEXT NOT NULL DEFAULT 'running', class TEXT, reason TEXT,
  since INTEGER, config_hash BLOB, last_run INTEGER, settled INTEGER NOT NULL DEFAULT 0,
  CHECK (mode IN ('running', 'paused', 'halted', 'overflowed')));

-- Configurations by hash: an attempt whose outcome is unknown is encoded again under the one that encoded it.
CREATE TABLE config (hash BLOB PRIMARY KEY, text TEXT NOT NULL) WITHOUT ROWID;

-- Everything at or below `seq` was delivered, filtered out, or is parked. Events up to `replay_to` are being sent
-- again by an operator's replay.
CREATE TABLE cursor (
  connector INTEGER NOT NULL, log INTEGER NOT NULL, seq INTEGER NOT NULL, replay_to INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (connector, log)) WITHOUT ROWID;

-- Only the exceptions. `state`: waiting (due), behind (an earlier change of the record is parked), held (mapping,
-- gate, or a person), dead (refused, or out of attempts). `event` is a copy of the event, so that pruning the
-- outbox never has to look here; `frozen` the request of an attempt whose outcome is unknown. `lane`, `lane2`:
-- the record's lanes (two when its key changed). `passed`: a later change of the record that was delivered meanwhile
-- (`onDead: continue`). Keyed by event id, not by seq: a seq can come again after a restore.
CREATE TABLE parked (
  connector INTEGER NOT NULL, event_id TEXT NOT NULL, log INTEGER NOT NULL, seq INTEGER NOT NULL, kind TEXT NOT NULL,
  state TEXT NOT NULL, lane INTEGER NOT NULL, lane2 INTEGER, due INTEGER, attempts INTEGER NOT NULL DEFAULT 0,
  first_attempt INTEGER, since INTEGER NOT NULL, class TEXT NOT NULL, reason TEXT NOT NULL, status INTEGER,
  config_hash BLOB, passed INTEGER, event BLOB NOT NULL, frozen BLOB,
  PRIMARY KEY (connector, event_id), CHECK (state IN ('waiting', 'behind', 'held', 'dead')));
CREATE INDEX parked_due ON parked(connector, due) WHERE state = 'waiting';
CREATE INDEX parked_lane ON parked(connector, lane, log, seq);
CREATE INDEX parked_lane2 ON parked(connector, lane2, log, seq) WHERE lane2 IS NOT NULL;
CREATE INDEX parked_state ON parked(connector, state, log, seq);

-- Parked deliveries that ended (delivered, discarded) while the cursor still stood below their event: reading on from the
-- cursor after a restart must not bring them back. Removed when the cursor passes.
CREATE TABLE ahead (
  connector INTEGER NOT NULL, log INTEGER NOT NULL, seq INTEGER NOT NULL, event_id TEXT NOT NULL,
  PRIMARY KEY (connector, log, seq, event_id)) WITHOUT ROWID;

-- The attempt log, by group: an `intent` row is committed before the first byte of its events leaves, an
-- `outcome` row after. `entries` packs one fixed record an event (layout: rules/attempt/entries.rs). Append only.
CREATE TABLE attempt (
  n INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, connector INTEGER NOT NULL, log INTEGER NOT NULL,
  phase TEXT NOT NULL, first_seq INTEGER NOT NULL, last_seq INTEGER NOT NULL, config_hash BLOB, entries BLOB NOT NULL,
  CHECK (phase IN ('intent', 'outcome')));
CREATE INDEX attempt_seq ON attempt(connector, log, last_seq);
CREATE TRIGGER attempt_keep BEFORE UPDATE ON attempt BEGIN SELECT RAISE(ABORT, 'the attempt log is append only'); END;

-- What people and the agent itself did that is no attempt: park, release, discard, retry, replay, pause, repair,
-- start, stop. `actor` is `system` or the operator's user name.
CREATE TABLE act (
  n INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, actor TEXT NOT NULL, verb TEXT NOT NULL, connector INTEGER,
  subject TEXT, reason TEXT);

-- The breaker of a connector's endpoint, so that a restart does not hammer an endpoint that is down.
CREATE TABLE breaker (
  connector INTEGER NOT NULL, origin TEXT NOT NULL, opened INTEGER NOT NULL, next_probe INTEGER NOT NULL,
  failures INTEGER NOT NULL, class TEXT NOT NULL, reason TEXT NOT NULL, PRIMARY KEY (connector, origin)) WITHOUT ROWID;

-- Sums, kept in the commit that makes them true: delivered, skipped, retried, refused, discarded; `attempts/CLASS`, `denied/RULE`.
CREATE TABLE counter (
  connector INTEGER NOT NULL, name TEXT NOT NULL, n INTEGER NOT NULL, PRIMARY KEY (connector, name)) WITHOUT ROWID;

-- shadow
-- The baseline of reconcile: a hash of each record's image as the log last told it; key and hash are encoded by
-- the agent. shadow_at: kind '' holds the position up to which the log is in the shadow, a type's own row says
-- that its table was filled.
CREATE TABLE shadow (log TEXT NOT NULL, kind TEXT NOT NULL, key BLOB NOT NULL, hash BLOB NOT NULL,
  PRIMARY KEY (log, kind, key)) WITHOUT ROWID;
CREATE TABLE shadow_at (log TEXT NOT NULL, kind TEXT NOT NULL, seq INTEGER NOT NULL,
  PRIMARY KEY (log, kind)) WITHOUT ROWID;

-- ===== the agent's state file, version 2: file drops =====

-- Records that the shadow no longer has because the log told so at `seq`, which some connector has not passed yet: owed when
-- that log is lost with its file. Likewise a `hash` of `shadow` that not every connector has had is followed by its `seq`.
CREATE TABLE shadow_gone (log TEXT NOT NULL, kind TEXT NOT NULL, key BLOB NOT NULL, seq INTEGER NOT NULL,
  PRIMARY KEY (log, kind, key)) WITHOUT ROWID;

-- A drop's files, one row each from its first change to long after it was published. `state`: open (gathers changes), cut (members,
-- payloads and numbers are frozen), rendered (its bytes lie in the staging folder), published (every place has it, or
-- may have), acked | partial | refused (the host has answered), skipped (nothing to send), discarded (by a person),
-- purged (bytes and payloads are gone, the line stays). `class`, `reason`: why it stands still, if it does. `date`, `nth`: business
-- date and the how many-th cut of it. `n` counts the files and is never given twice; `seq` is what the name shows (`n` with the
-- drop's modulus). `office`: what the installation was called then. `rerun` of a file counts from 1 and names it in `rerun_of`.
CREATE TABLE drop_file (
  id INTEGER PRIMARY KEY AUTOINCREMENT, connector INTEGER NOT NULL, state TEXT NOT NULL, date TEXT NOT NULL,
  nth INTEGER NOT NULL DEFAULT 0, n INTEGER, seq INTEGER, prev INTEGER, modifier INTEGER NOT NULL DEFAULT 0,
  part INTEGER NOT NULL DEFAULT 1, parts INTEGER NOT NULL DEFAULT 1, rerun INTEGER NOT NULL DEFAULT 0, rerun_of INTEGER,
  cut_at INTEGER NOT NULL, created INTEGER, since INTEGER NOT NULL, office TEXT, name TEXT, records INTEGER, size INTEGER,
  sha256 BLOB, totals TEXT, config_hash BLOB, class TEXT, reason TEXT,
  CHECK (state IN ('open', 'cut', 'rendered', 'published', 'acked', 'partial', 'refused', 'skipped', 'discarded', 'purged')));
CREATE UNIQUE INDEX drop_file_n ON drop_file(connector, n) WHERE n IS NOT NULL;
CREATE INDEX drop_file_state ON drop_file(connector, state);

-- The changes that a file carries, those that another one of the same record made needless too: a change is in one file of a
-- drop at most. `ordinal` is commit order; `event` its copy, until the file needs it no more.
CREATE TABLE drop_change (
  connector INTEGER NOT NULL, event_id TEXT NOT NULL, half INTEGER NOT NULL, file INTEGER NOT NULL, key TEXT NOT NULL,
  ordinal INTEGER NOT NULL, log INTEGER NOT NULL, op TEXT NOT NULL, event BLOB,
  PRIMARY KEY (connector, event_id, half)) WITHOUT ROWID;
CREATE INDEX drop_change_key ON drop_change(file, key, ordinal);

-- The lines of a file. `payload` is the mapped and cleared record as it was at the cut; the file is made of it and of nothing
-- else, also when it is made again. `answer`, `code`: what the host said of this line.
CREATE TABLE drop_member (
  file INTEGER NOT NULL, ordinal INTEGER NOT NULL, event_id TEXT NOT NULL, key TEXT NOT NULL, action TEXT NOT NULL,
  payload BLOB, answer TEXT, code TEXT, PRIMARY KEY (file, ordinal)) WITHOUT ROWID;
CREATE INDEX drop_member_key ON drop_member(file, key);

-- The records that the host has, as far as the files cut so far say: what makes a change an add. Of drops that send every
-- record each time also the record itself, as the last change of it that was gathered.
CREATE TABLE drop_has (
  connector INTEGER NOT NULL, key TEXT NOT NULL, log INTEGER, event BLOB, PRIMARY KEY (connector, key)) WITHOUT ROWID;

-- What each place has of a file. `noted`: what was said to be done before it was done (the rename, the trigger), so that after a lost
-- answer it is looked for and never guessed.
CREATE TABLE drop_place (
  file INTEGER NOT NULL, place TEXT NOT NULL, state TEXT NOT NULL, noted TEXT NOT NULL DEFAULT '', attempts INTEGER NOT NULL
  DEFAULT 0, due INTEGER, since INTEGER NOT NULL, class TEXT, reason TEXT, PRIMARY KEY (file, place),
  CHECK (state IN ('waiting', 'published', 'unverified', 'held'))) WITHOUT ROWID;

-- The files that belong together: the data file, its control file, its trigger. `body` of the small ones.
CREATE TABLE drop_piece (
  file INTEGER NOT NULL, role TEXT NOT NULL, name TEXT NOT NULL, size INTEGER NOT NULL, sha256 BLOB NOT NULL, body BLOB,
  PRIMARY KEY (file, role)) WITHOUT ROWID;

-- Acknowledgements that were read, by content: the same one again changes nothing.
CREATE TABLE drop_ack (
  connector INTEGER NOT NULL, sha256 BLOB NOT NULL, name TEXT NOT NULL, at INTEGER NOT NULL, file INTEGER, word TEXT NOT NULL,
  reason TEXT, PRIMARY KEY (connector, sha256)) WITHOUT ROWID;

-- ===== the agent's state file, version 3: pushes =====

-- `record`: what names the event's record, as text, so that one record is found among millions; empty = nothing does, NULL = the
-- row is older than this column. `dest` and `url`: the one connector that a handler pushed the payload to, and where there.
ALTER TABLE intake ADD COLUMN record TEXT;
ALTER TABLE intake ADD COLUMN dest TEXT;
ALTER TABLE intake ADD COLUMN url TEXT;
CREATE INDEX intake_record ON intake(kind, record);

-- ===== the agent's state file, version 4: the last hour, and one record among many =====

-- What came of a connector's deliveries minute by minute, for the last hour and no longer: `slot` is the minute's place in its
-- hour, and is used again an hour later. `failed`: attempts that failed, and what was held or refused. `last`: when it last
-- delivered in that minute.
CREATE TABLE pace (
  connector INTEGER NOT NULL, slot INTEGER NOT NULL, minute INTEGER NOT NULL, delivered INTEGER NOT NULL,
  failed INTEGER NOT NULL, last INTEGER, PRIMARY KEY (connector, slot)) WITHOUT ROWID;

-- What went wrong last at a connector: a class and words, no value of a record.
CREATE TABLE mishap (connector INTEGER PRIMARY KEY, at INTEGER NOT NULL, class TEXT NOT NULL, reason TEXT NOT NULL);

-- Finds one record's events in an application's log without an index on what its triggers write: 16 bits of each event's lane,
-- by position, in blocks. 0 = look yourself. Written as the shadow follows the log; what is missing is read in the log.
CREATE TABLE trail (log TEXT NOT NULL, block INTEGER NOT NULL, marks BLOB NOT NULL);
CREATE UNIQUE INDEX trail_block ON trail(log, block);

-- An event's attempts are found by how far their group spans: most groups are short.
DROP INDEX attempt_seq;
CREATE INDEX attempt_span ON attempt(
  connector, log, (CASE WHEN last_seq = first_seq THEN 0 WHEN last_seq - first_seq < 64 THEN 1 ELSE 2 END), last_seq);

CREATE INDEX act_subject ON act(subject) WHERE subject IS NOT NULL;

-- ===== the agent's state file, version 5: alerts =====

-- What is wrong, or was lately: one row for each condition and what it is about (a connector, a log, a disk), however many events
-- are behind it. `book` is what the rules know of it (JSON, `rules/alert.rs`), so that a restart neither forgets nor repeats.
CREATE TABLE alert (condition TEXT NOT NULL, subject TEXT NOT NULL, book TEXT NOT NULL, PRIMARY KEY (condition, subject)) WITHOUT ROWID;

-- What a channel must still be told: of each alert the newest notice, which has taken in what was not told before it. The row goes
-- when the channel has it. `notice` is its number, never given twice; `body` the notice as JSON: counts and names, no record.
CREATE TABLE alert_owed (
  channel TEXT NOT NULL, alert TEXT NOT NULL, notice INTEGER NOT NULL, body TEXT NOT NULL, PRIMARY KEY (channel, alert)) WITHOUT ROWID;

-- ===== the agent's state file, version 6: links =====

-- What a target calls a record of ours, as its answers told (an adapter's `capture`): its id there, its version, its address.
-- `key` is the record's key as JSON.
CREATE TABLE link (
  connector INTEGER NOT NULL, kind TEXT NOT NULL, key TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL,
  PRIMARY KEY (connector, kind, key, name)) WITHOUT ROWID;

-- ===== the agent's state file, version 7: the audit as a chain =====

-- Attempts and acts are one chain: they share one numbering, and `hash` of each row is SHA-256 over the hash of the row before
-- it and the row's own bytes (rules/chain.rs). `origin`: scheme, host and port of the target. `kinds`: the types of the events,
-- which the entries name by their places. `up`: milliseconds since the machine was started. Row 0 says how the chain began.
ALTER TABLE attempt ADD COLUMN origin TEXT;
ALTER TABLE attempt ADD COLUMN kinds TEXT;
ALTER TABLE attempt ADD COLUMN up INTEGER;
ALTER TABLE attempt ADD COLUMN hash BLOB;
ALTER TABLE act ADD COLUMN up INTEGER;
ALTER TABLE act ADD COLUMN hash BLOB;

-- A sealed piece of the chain: the file of this name in the folder `audit` beside this file holds the rows from `first_n` to
-- `last_n`. `hash` is that of its last row. Only what is sealed can leave this file (`sealed` in meta: the last such row).
CREATE TABLE segment (
  last_n INTEGER PRIMARY KEY, first_n INTEGER NOT NULL, day INTEGER NOT NULL, name TEXT NOT NULL UNIQUE, hash BLOB NOT NULL,
  last_at INTEGER NOT NULL, records INTEGER NOT NULL, size INTEGER NOT NULL);

-- The triggers of the chain stand in store/state/chain.rs: what was recorded before it is given its hashes first.

-- ===== the agent's state file, version 8: how much was posted =====

-- `total`: bytes of all rows up to this one, as they were when it was taken in, so that the bytes of those that wait are one
-- subtraction (the overflow valve of posted events). NULL = the row is older than this column.
ALTER TABLE intake ADD COLUMN total INTEGER;

-- ===== the agent's state file, version 9: conflicts =====

-- What both sides of a record have changed: one row for each unit (a field, a group of fields, `*` = the whole record) that was
-- decided or is held, with the values of both sides, which are the only copy of what the loser had. `state`: open (waits for a
-- person), resolved (a person has decided, and it is to be carried out), decided (by a rule, or carried out), superseded (it is no
-- conflict any more). `key` is the record's key as JSON, `base`, `local` and `remote` are images of the disputed fields
-- (store/image.rs; NULL = none there), `*_seen` their hashes, by which a newer change is known. `by_record`: 1 = the application's times
-- are the record's, 2 = the other side's are. `take`, `value`, `who`, `why`, `resolved`: a person's decision.
CREATE TABLE conflict (
  id INTEGER PRIMARY KEY AUTOINCREMENT, connector INTEGER NOT NULL, tbl TEXT NOT NULL, kind TEXT NOT NULL, key TEXT NOT NULL,
  unit TEXT NOT NULL, state TEXT NOT NULL, rule TEXT NOT NULL, winner TEXT, reason TEXT NOT NULL, since INTEGER NOT NULL,
  at INTEGER NOT NULL, base BLOB, local BLOB, remote BLOB, local_first INTEGER, local_last INTEGER, remote_first INTEGER,
  remote_last INTEGER, by_record INTEGER NOT NULL, local_seen BLOB NOT NULL, remote_seen BLOB NOT NULL, take TEXT, value BLOB,
  who TEXT, why TEXT, resolved INTEGER,
  CHECK (state IN ('open', 'resolved', 'decided', 'superseded')));
-- Of one unit of a record one row at most waits.
CREATE UNIQUE INDEX conflict_waits ON conflict(connector, kind, key, unit) WHERE state IN ('open', 'resolved');
CREATE INDEX conflict_record ON conflict(kind, key, id);
CREATE INDEX conflict_over ON conflict(at) WHERE state IN ('decided', 'superseded');

-- How many conflicts there were: `winner` is local, remote, value (a person gave one), or held.
CREATE TABLE conflict_count (tbl TEXT NOT NULL, unit TEXT NOT NULL, winner TEXT NOT NULL, n INTEGER NOT NULL,
  PRIMARY KEY (tbl, unit, winner)) WITHOUT ROWID;

-- ===== the agent's state file, version 10: pulls =====

-- How the pull of a connector stands. `n`: the number of its last page; a page that is planned and not finished has its plan
-- in `pull_plan`, and how far it has come stands in the application's file, in the transactions that write the rows. `noted`:
-- up to where in the log `log` (of that `epoch`) the changes of its table are in `pull_change`. `contact`: `none` (both sides
-- were never compared), `doubted` (the log is another now), `local`, `remote`, `rules` (as a person has said, with the next run), `made`. `book` (JSON): what is told
-- of it, and what is asked for next.
CREATE TABLE pull (
  connector INTEGER PRIMARY KEY, n INTEGER NOT NULL DEFAULT 0, log TEXT NOT NULL, epoch TEXT, noted INTEGER NOT NULL DEFAULT 0,
  contact TEXT NOT NULL DEFAULT 'none', book TEXT NOT NULL DEFAULT '{}');

CREATE TABLE pull_plan (connector INTEGER PRIMARY KEY, n INTEGER NOT NULL, plan BLOB NOT NULL);

-- What both sides of a record agreed on last: `local` as the application held it, `there` as the other side did, in our names;
-- NULL = the same; both NULL = it is deleted on both sides. `remote`: its name there; `version`, `updated`: of what was seen there
-- last. `seq`: the change of ours up to which they agree. `key` is the record's key as JSON.
CREATE TABLE pull_base (
  connector INTEGER NOT NULL, kind TEXT NOT NULL, key TEXT NOT NULL, remote TEXT, version TEXT, updated INTEGER,
  seq INTEGER NOT NULL, at INTEGER NOT NULL, local BLOB, there BLOB, PRIMARY KEY (connector, kind, key)) WITHOUT ROWID;
CREATE INDEX pull_base_remote ON pull_base(connector, kind, remote) WHERE remote IS NOT NULL;

-- When the application first and last changed a field since then; the field '' is the record, when it was deleted.
CREATE TABLE pull_change (
  connector INTEGER NOT NULL, kind TEXT NOT NULL, key TEXT NOT NULL, field TEXT NOT NULL, first INTEGER NOT NULL,
  last INTEGER NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (connector, kind, key, field)) WITHOUT ROWID;

-- Items that stand aside. `state`: again (another row stood there than it was decided on), refused (the application's rules),
-- held (a person decides, in the log of conflicts), bad (it cannot be read or mapped). `id` is the record's key, or the item's hash.
CREATE TABLE pull_item (
  connector INTEGER NOT NULL, id TEXT NOT NULL, state TEXT NOT NULL, class TEXT NOT NULL, reason TEXT NOT NULL,
  since INTEGER NOT NULL, tries INTEGER NOT NULL DEFAULT 0, item BLOB, PRIMARY KEY (connector, id),
  CHECK (state IN ('again', 'refused', 'held', 'bad'))) WITHOUT ROWID;

-- What was sent and may be seen again as a change there: the shared fields of a record, once each, for a day.
CREATE TABLE pull_sent (
  connector INTEGER NOT NULL, kind TEXT NOT NULL, key TEXT NOT NULL, seq INTEGER NOT NULL, at INTEGER NOT NULL, local BLOB NOT NULL,
  PRIMARY KEY (connector, kind, key, seq)) WITHOUT ROWID;
