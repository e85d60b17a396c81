-- Format 1.
CREATE TABLE record (
    -- In the order in which the requests ended.
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    -- When the request head was read, in seconds since the epoch.
    at              REAL NOT NULL,
    request_id      TEXT NOT NULL,
    -- Empty without, as the next two.
    trace_id        TEXT NOT NULL,
    upload_id       TEXT NOT NULL,
    event_id        TEXT NOT NULL,
    method          TEXT NOT NULL,
    -- Path of the request, decoded, and path of the stored file, or of the request if there is none.
    asked           TEXT NOT NULL,
    path            TEXT NOT NULL,
    account         TEXT,
    peer            TEXT NOT NULL,
    -- NULL if the client left before it was answered.
    status          INTEGER,
    state           TEXT NOT NULL,
    -- The refusal; code is NULL without one.
    code            TEXT,
    reason          TEXT NOT NULL,
    plugin          TEXT,
    file            TEXT NOT NULL,
    line            INTEGER NOT NULL,
    content_hash    TEXT NOT NULL,
    -- JSON list of the handlers of the question.
    handlers        TEXT NOT NULL,
    bytes           INTEGER NOT NULL,
    digest          TEXT NOT NULL,
    seconds         REAL NOT NULL,
    -- Since the request head; 0 if it has not come so far.
    seconds_to_open REAL NOT NULL,
    seconds_to_seal REAL NOT NULL
);
CREATE INDEX record_request ON record (request_id);
CREATE INDEX record_upload ON record (upload_id) WHERE upload_id <> '';
CREATE INDEX record_event ON record (event_id) WHERE event_id <> '';
CREATE INDEX record_account ON record (account);
CREATE INDEX record_state ON record (state);
CREATE INDEX record_code ON record (code) WHERE code IS NOT NULL;
CREATE INDEX record_path ON record (path);
CREATE TABLE attempt (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    -- When it ended, in seconds since the epoch.
    at           REAL NOT NULL,
    event_id     TEXT NOT NULL,
    event        TEXT NOT NULL,
    request_id   TEXT NOT NULL,
    upload_id    TEXT NOT NULL,
    path         TEXT NOT NULL,
    number       INTEGER NOT NULL,
    outcome      TEXT NOT NULL,
    status       INTEGER NOT NULL,
    worker       TEXT NOT NULL,
    seconds      REAL NOT NULL,
    -- Until the next attempt; 0 if there is none.
    delay        REAL NOT NULL,
    code         TEXT,
    reason       TEXT NOT NULL,
    plugin       TEXT,
    file         TEXT NOT NULL,
    line         INTEGER NOT NULL,
    content_hash TEXT NOT NULL,
    -- JSON list of the handlers that ran.
    handlers     TEXT NOT NULL
);
CREATE INDEX attempt_event ON attempt (event_id);
CREATE INDEX attempt_request ON attempt (request_id) WHERE upload_id = '';
CREATE INDEX attempt_upload ON attempt (upload_id) WHERE upload_id <> '';
