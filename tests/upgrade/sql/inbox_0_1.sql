-- The inbox of version 0.1 (commit 4fa5363), as that version made it.
CREATE TABLE IF NOT EXISTS handled (
    id      TEXT PRIMARY KEY,
    at      REAL NOT NULL,
    outcome TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS handled_at ON handled (at);
