-- The outbox: events that were promised and are not yet delivered.

-- name: schema
CREATE TABLE IF NOT EXISTS event (
    -- Order of the promises; events of one path are delivered in this order.
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    id         TEXT NOT NULL UNIQUE,
    type       TEXT NOT NULL,
    path       TEXT NOT NULL,
    -- ISO 8601 moment of the event, and JSON of what handlers see.
    time       TEXT NOT NULL,
    data       TEXT NOT NULL,
    -- prepared: the file may or may not be in place; ready: to be delivered; dead: given up.
    state      TEXT NOT NULL DEFAULT 'prepared' CHECK (state IN ('prepared', 'ready', 'dead')),
    -- Where the file was staged: gone means that the rename happened.
    staged     TEXT NOT NULL,
    -- Deliveries tried, seconds since the epoch of the next, and why the last one failed.
    attempt    INTEGER NOT NULL DEFAULT 0,
    next_at    REAL NOT NULL DEFAULT 0,
    reason     TEXT NOT NULL DEFAULT ''
);
CREATE INDEX IF NOT EXISTS event_path ON event (path, seq);
CREATE INDEX IF NOT EXISTS event_due ON event (state, next_at);

-- name: prepare
INSERT INTO event (id, type, path, time, data, staged)
VALUES (:id, :type, :path, :time, :data, :staged);

-- name: ready
UPDATE event SET state = 'ready' WHERE id = :id AND state = 'prepared';

-- name: withdraw
DELETE FROM event WHERE id = :id AND state = 'prepared';

-- name: prepared
SELECT id, staged FROM event WHERE state = 'prepared' ORDER BY seq;

-- Due events, at most one a path: the oldest that is not given up.
-- name: due
SELECT seq, id, type, path, time, data, attempt FROM event AS e
WHERE state = 'ready' AND next_at <= :now
  AND NOT EXISTS (
    SELECT 1 FROM event AS older
    WHERE older.path = e.path AND older.seq < e.seq AND older.state <> 'dead'
  )
ORDER BY next_at, seq LIMIT :limit;

-- Seconds since the epoch at which the next event falls due.
-- name: next_due
SELECT min(next_at) FROM event WHERE state = 'ready' AND next_at > :now;

-- name: done
DELETE FROM event WHERE id = :id AND state = 'ready';

-- name: retry
UPDATE event SET attempt = :attempt, next_at = :next_at, reason = :reason
WHERE id = :id AND state = 'ready';

-- name: dead
UPDATE event SET state = 'dead', attempt = :attempt, reason = :reason
WHERE id = :id AND state = 'ready';

-- name: counts
SELECT state, count(*) FROM event GROUP BY state;
