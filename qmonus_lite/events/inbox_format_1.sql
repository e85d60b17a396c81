-- Format 1: also the tables of version 0.1, which had no format number.
CREATE TABLE IF NOT EXISTS handled (
    id      TEXT PRIMARY KEY,
    -- Seconds since the epoch.
    at      REAL NOT NULL,
    -- JSON of the outcome, without the event.
    outcome TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS handled_at ON handled (at);
