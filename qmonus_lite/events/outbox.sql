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
    -- prepared: the file may or may not be in place, or the event is on its straight way;
    -- ready: to be delivered; dead: given up.
    state      TEXT NOT NULL DEFAULT 'prepared' CHECK (state IN ('prepared', 'ready', 'dead')),
    -- Where the file was staged and where it goes: what a restart looks at.
    staged     TEXT NOT NULL,
    final      TEXT NOT NULL,
    -- Seconds since the epoch from which its age counts: the promise, or the last replay.
    since      REAL NOT NULL,
    -- Deliveries begun, and why the last one failed.
    attempt    INTEGER NOT NULL DEFAULT 0,
    reason     TEXT NOT NULL DEFAULT '',
    -- Seconds since the epoch before which it is left alone: a back-off, or a lease.
    next_at    REAL NOT NULL DEFAULT 0,
    -- 1 while the dispatcher of a living APIGW has it.
    leased     INTEGER NOT NULL DEFAULT 0,
    -- Of the request that stored the file.
    request_id TEXT NOT NULL DEFAULT ''
);
CREATE INDEX IF NOT EXISTS event_path ON event (path, seq);
CREATE INDEX IF NOT EXISTS event_due ON event (state, next_at, seq);

-- An outbox of a version before lacks this column.
-- name: column_request_id
ALTER TABLE event ADD COLUMN request_id TEXT NOT NULL DEFAULT '';

-- name: prepare
INSERT INTO event (id, type, path, time, data, staged, final, since, request_id)
VALUES (:id, :type, :path, :time, :data, :staged, :final, :since, :request_id);

-- name: ready
UPDATE event SET state = 'ready', attempt = :attempt WHERE id = :id AND state = 'prepared';

-- name: withdraw
DELETE FROM event WHERE id = :id AND state = 'prepared';

-- name: restage
UPDATE event SET staged = :staged WHERE id = :id AND state = 'prepared';

-- name: prepared
SELECT id, staged, final FROM event WHERE state = 'prepared' ORDER BY seq;

-- name: waiting
SELECT path, id FROM event WHERE state = 'ready' ORDER BY seq LIMIT :limit;

-- name: count_waiting
SELECT count(*) FROM event WHERE state = 'ready';

-- An event on its straight way, as if it had been claimed.
-- name: lease
UPDATE event SET state = 'ready', leased = 1, attempt = 1, next_at = :lease
WHERE id = :id AND state = 'prepared';

-- Leases of an APIGW that is no more.
-- name: release
UPDATE event SET leased = 0, next_at = 0 WHERE leased = 1;

-- Take due events, at most one a path: the oldest that is not given up. Of these types only, or
-- (listed = 0) of all types but these. The attempt counts from here, so that a repeat after a crash carries a higher one.
-- name: claim
UPDATE event SET leased = 1, next_at = :lease, attempt = attempt + 1
WHERE seq IN (
    SELECT seq FROM event AS e
    WHERE state = 'ready' AND next_at <= :now
      AND (type IN (SELECT value FROM json_each(:types))) = :listed
      AND NOT EXISTS (
        SELECT 1 FROM event AS older
        WHERE older.path = e.path AND older.seq < e.seq AND older.state <> 'dead'
      )
    ORDER BY next_at, seq LIMIT :limit
)
RETURNING seq, id, type, path, time, data, attempt, since, request_id;

-- When the next event falls due.
-- name: next_due
SELECT min(next_at) FROM event WHERE state = 'ready' AND next_at > :now;

-- name: done
DELETE FROM event WHERE id IN (SELECT value FROM json_each(:ids)) AND state <> 'dead';

-- name: retry
UPDATE event
SET state = 'ready', attempt = :attempt, next_at = :next_at, reason = :reason, leased = 0
WHERE id = :id AND state <> 'dead';

-- name: dead
UPDATE event SET state = 'dead', attempt = :attempt, reason = :reason, leased = 0
WHERE id = :id AND state <> 'dead';

-- Deliver a dead letter after all; its age counts anew, its attempts go on counting.
-- name: replay
UPDATE event SET state = 'ready', next_at = 0, since = :now
WHERE id = :id AND state = 'dead';

-- name: listing
SELECT seq, id, type, path, time, state, attempt, next_at, leased, reason FROM event
WHERE (:state = '' OR state = :state) ORDER BY seq LIMIT :limit;

-- name: one
SELECT seq, id, type, path, time, state, attempt, next_at, leased, reason, data FROM event
WHERE id = :id;

-- name: counts
SELECT state, count(*) FROM event GROUP BY state;
