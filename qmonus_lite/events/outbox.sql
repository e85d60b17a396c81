-- The outbox: pending events that are not yet delivered, and dead letters.

-- name: schema
CREATE TABLE IF NOT EXISTS event (
    -- Commit order; events of one path are delivered in this order.
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    id         TEXT NOT NULL UNIQUE,
    type       TEXT NOT NULL,
    path       TEXT NOT NULL,
    -- ISO 8601 timestamp of the event, and the event that handlers get, as JSON.
    time       TEXT NOT NULL,
    data       TEXT NOT NULL,
    -- prepared: the file may or may not be in place, or the event is in direct delivery;
    -- ready: to be delivered; dead: dead letter.
    state      TEXT NOT NULL DEFAULT 'prepared' CHECK (state IN ('prepared', 'ready', 'dead')),
    -- Token of the upload, for recovery after a restart, and where its file will be.
    staged     TEXT NOT NULL,
    final      TEXT NOT NULL,
    -- Start of its age in seconds since the epoch: time of the event, or of the last replay.
    since      REAL NOT NULL,
    -- Delivery attempts started, and why the last one failed.
    attempt    INTEGER NOT NULL DEFAULT 0,
    reason     TEXT NOT NULL DEFAULT '',
    -- Earliest time of the next attempt in seconds since the epoch: end of a back-off or lease.
    next_at    REAL NOT NULL DEFAULT 0,
    -- 1 while the dispatcher of a running APIGW holds a lease.
    leased     INTEGER NOT NULL DEFAULT 0,
    -- Id of the request that stored the file.
    request_id TEXT NOT NULL DEFAULT ''
);
CREATE INDEX IF NOT EXISTS event_path ON event (path, seq);
CREATE INDEX IF NOT EXISTS event_due ON event (state, next_at, seq);

-- Schema migration: an outbox of an older version lacks this column.
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
SELECT id, staged, path FROM event WHERE state = 'prepared' ORDER BY seq;

-- name: waiting
SELECT path, id FROM event WHERE state = 'ready' ORDER BY seq LIMIT :limit;

-- name: count_waiting
SELECT count(*) FROM event WHERE state = 'ready';

-- Lease an event in direct delivery, as if it had been claimed.
-- name: lease
UPDATE event SET state = 'ready', leased = 1, attempt = 1, next_at = :lease
WHERE id = :id AND state = 'prepared';

-- Release the leases of an earlier APIGW process.
-- name: release
UPDATE event SET leased = 0, next_at = 0 WHERE leased = 1;

-- Claim due events, at most one per path: the oldest that is not a dead letter. Only of these
-- types, or (listed = 0) of all types except these. The attempt is counted when it is claimed, so
-- that a redelivery after a crash has a higher number.
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

-- Due time of the next event.
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

-- Requeue a dead letter; its age restarts, its attempt count continues.
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
