-- Format 4: events that wait for an older one of their path are marked and left out of the search
-- for due events, so that a claim costs the same however many events wait at one path.
--
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
