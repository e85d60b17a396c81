-- Format 4: the id of the upload, which an event that is replayed or published has beside its own,
-- and delivered events, which are kept for a while.
ALTER TABLE event ADD COLUMN upload_id TEXT NOT NULL DEFAULT '';
UPDATE event SET upload_id = id;
-- A table of its own: claims search the waiting events of a path, however many were delivered.
CREATE TABLE delivered (
    -- Order of deliveries.
    number       INTEGER PRIMARY KEY AUTOINCREMENT,
    -- When it was delivered, in seconds since the epoch.
    delivered_at REAL NOT NULL,
    -- The columns of the event.
    seq          INTEGER NOT NULL,
    id           TEXT NOT NULL UNIQUE,
    type         TEXT NOT NULL,
    path         TEXT NOT NULL,
    time         TEXT NOT NULL,
    data         TEXT NOT NULL,
    attempt      INTEGER NOT NULL,
    store        TEXT NOT NULL,
    store_path   TEXT NOT NULL,
    gateway      TEXT NOT NULL,
    request_id   TEXT NOT NULL,
    upload_id    TEXT NOT NULL
);
CREATE INDEX delivered_age ON delivered (delivered_at);
