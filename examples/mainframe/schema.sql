-- A small office's database, as its application made it. The agent adds its own tables, all named hms_sync_*.
PRAGMA journal_mode = WAL;

CREATE TABLE appointments (
  appt_id  INTEGER PRIMARY KEY,
  name     TEXT NOT NULL,
  clinic   TEXT NOT NULL,
  day      TEXT,               -- 2026-03-05
  minutes  INTEGER NOT NULL,
  balance  NUMERIC NOT NULL,   -- what the family's account stands at
  copay    NUMERIC NOT NULL
);
