-- The outbox of development versions before format numbers (commit 3e3bb42), as they made it.
CREATE TABLE IF NOT EXISTS event (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    id         TEXT NOT NULL UNIQUE,
    type       TEXT NOT NULL,
    path       TEXT NOT NULL,
    time       TEXT NOT NULL,
    data       TEXT NOT NULL,
    state      TEXT NOT NULL DEFAULT 'prepared' CHECK (state IN ('prepared', 'ready', 'dead')),
    staged     TEXT NOT NULL,
    final      TEXT NOT NULL,
    since      REAL NOT NULL,
    attempt    INTEGER NOT NULL DEFAULT 0,
    reason     TEXT NOT NULL DEFAULT '',
    next_at    REAL NOT NULL DEFAULT 0,
    leased     INTEGER NOT NULL DEFAULT 0,
    request_id TEXT NOT NULL DEFAULT ''
);
CREATE INDEX IF NOT EXISTS event_path ON event (path, seq);
CREATE INDEX IF NOT EXISTS event_due ON event (state, next_at, seq);
