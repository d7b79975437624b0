-- A small office's database, as its application made it. The agent adds its own tables, all named hms_sync_*.
PRAGMA journal_mode = WAL;

CREATE TABLE appointment_rules (
  ruleId      INTEGER PRIMARY KEY,
  clinic      TEXT NOT NULL,
  duration    INTEGER NOT NULL,   -- minutes
  maxPatients INTEGER NOT NULL
);

INSERT INTO appointment_rules VALUES (41, 'Dermatology', 15, 6), (42, 'Audiology', 30, 2);
