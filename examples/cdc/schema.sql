-- A small office's database, as its application made it. The agent adds its own tables, all named hms_sync_*.
PRAGMA journal_mode = WAL;

CREATE TABLE immunizations (
  id               INTEGER PRIMARY KEY,
  patientId        TEXT NOT NULL,
  vaccineCode      TEXT NOT NULL,     -- CVX
  dateAdministered TEXT NOT NULL
);
