-- Format 4: the id of the upload, which an event that is replayed or published has beside its own;
-- delivered events, which are kept for a while; and a mark of events that wait for an older one of
-- their path. These are left out of the search for due events, so that a claim costs the same
-- however many events wait at one path.
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

-- Invariant: an event with blocked = 1 has an older one at its path that is not a dead letter. The
-- reverse need not hold, so `claim` looks for an older one as well.
ALTER TABLE event ADD COLUMN blocked INTEGER NOT NULL DEFAULT 0;
DROP INDEX event_path;
CREATE INDEX event_path ON event (path, seq) WHERE state <> 'dead';
CREATE INDEX event_blocked ON event (path, seq) WHERE blocked = 1;
DROP INDEX event_due;
CREATE INDEX event_due ON event (state, blocked, next_at, seq);

UPDATE event SET blocked = 1 WHERE state = 'ready' AND EXISTS (
    SELECT 1 FROM event AS older
    WHERE older.path = event.path AND older.seq < event.seq AND older.state <> 'dead'
);

-- When an event is no longer in the way, the next one of its path is due.
CREATE TRIGGER event_left AFTER DELETE ON event WHEN old.state <> 'dead'
BEGIN
    UPDATE event SET blocked = 0
    WHERE seq = (SELECT min(seq) FROM event WHERE path = old.path AND blocked = 1);
END;
CREATE TRIGGER event_died AFTER UPDATE OF state ON event WHEN new.state = 'dead'
BEGIN
    UPDATE event SET blocked = 0
    WHERE seq = (SELECT min(seq) FROM event WHERE path = new.path AND blocked = 1);
END;
-- A dead letter that is requeued is in the way of the next one of its path.
CREATE TRIGGER event_requeued AFTER UPDATE OF state ON event
WHEN old.state = 'dead' AND new.state <> 'dead'
BEGIN
    UPDATE event SET blocked = 1
    WHERE seq = (
        SELECT min(seq) FROM event WHERE path = new.path AND seq > new.seq AND state <> 'dead'
    );
END;
