-- Format 1: the table of version 0.1, which had no format number.
CREATE TABLE event (
    -- Commit order; events of one path are delivered in this order.
    seq     INTEGER PRIMARY KEY AUTOINCREMENT,
    id      TEXT NOT NULL UNIQUE,
    type    TEXT NOT NULL,
    path    TEXT NOT NULL,
    -- ISO 8601 timestamp of the event, and the event that handlers get, as JSON.
    time    TEXT NOT NULL,
    data    TEXT NOT NULL,
    -- prepared: the file may or may not be published, or the event is in direct delivery;
    -- ready: to be delivered; dead: dead letter.
    state   TEXT NOT NULL DEFAULT 'prepared' CHECK (state IN ('prepared', 'ready', 'dead')),
    -- Absolute path of the staging file and final path, for recovery after a restart.
    staged  TEXT NOT NULL,
    final   TEXT NOT NULL,
    -- Start of its age in seconds since the epoch: time of the event, or of the last replay.
    since   REAL NOT NULL,
    -- Delivery attempts started, and why the last one failed.
    attempt INTEGER NOT NULL DEFAULT 0,
    reason  TEXT NOT NULL DEFAULT '',
    -- Earliest time of the next attempt in seconds since the epoch: end of a back-off or lease.
    next_at REAL NOT NULL DEFAULT 0,
    -- 1 while the dispatcher of a running APIGW holds a lease.
    leased  INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX event_path ON event (path, seq);
CREATE INDEX event_due ON event (state, next_at, seq);
