-- Events that are not yet delivered, dead letters, and delivered events; the columns: event_log_format_N.sql.

-- Format of a database without a number; 0 if it is empty.
-- name: unnumbered_format
SELECT CASE count(*) WHEN 0 THEN 0 ELSE 1 + max(name = 'request_id') END
FROM pragma_table_info('event');

-- name: prepare
INSERT INTO event
    (id, type, path, time, data, store, store_path, gateway, token, since, request_id, upload_id,
     account, traceparent)
VALUES (
    :id, :type, :path, :time, :data, :store, :store_path, :gateway, :token, :since, :request_id,
    :upload_id, :account, :traceparent
);

-- name: publish
INSERT OR IGNORE INTO event
    (id, type, path, time, data, state, store, store_path, gateway, token, since, request_id,
     upload_id, account, traceparent, blocked)
VALUES (
    :id, :type, :path, :time, :data, 'ready', :store, :store_path, :gateway, :token, :since,
    :request_id, :upload_id, :account, :traceparent,
    EXISTS (SELECT 1 FROM event AS older WHERE older.path = :path AND older.state <> 'dead')
);

-- name: commit
UPDATE event SET state = 'ready', attempt = :attempt, blocked = EXISTS (
    SELECT 1 FROM event AS older
    WHERE older.path = event.path AND older.seq < event.seq AND older.state <> 'dead'
)
WHERE id = :id AND state = 'prepared';

-- name: withdraw
DELETE FROM event WHERE id = :id AND state = 'prepared';

-- name: restage
UPDATE event SET token = :token WHERE id = :id AND state = 'prepared';

-- name: in_doubt
SELECT id, store, token FROM event WHERE state = 'prepared' ORDER BY seq;

-- name: waiting
SELECT path, id FROM event WHERE state = 'ready' ORDER BY seq LIMIT :limit;

-- name: count_waiting
SELECT count(*) FROM event WHERE state = 'ready';

-- Lease an event in direct delivery, as if it had been claimed, or extend its lease.
-- name: extend
UPDATE event SET state = 'ready', leased = 1, attempt = max(attempt, 1), next_at = :lease
WHERE id = :id AND (state = 'prepared' OR leased = 1);

-- Release the leases of an earlier APIGW process.
-- name: release
UPDATE event SET leased = 0, next_at = 0 WHERE leased = 1;

-- Follow a step of the wall clock.
-- name: follow_clock
UPDATE event SET
    next_at = CASE
        WHEN leased THEN next_at + :step
        WHEN next_at > 0 THEN min(next_at + :step, :now + :max_wait)
        ELSE next_at
    END,
    since = CASE
        WHEN since BETWEEN :earliest AND :now THEN since
        ELSE min(since + :step, :now)
    END
WHERE state <> 'dead';

-- Claim due events, at most one per path: the oldest that is not a dead letter. Only of these
-- types, or (listed = 0) of all types except these. The attempt is counted when it is claimed, so
-- that a redelivery after a crash has a higher number.
-- name: claim
UPDATE event SET leased = 1, next_at = :lease, attempt = attempt + 1
WHERE seq IN (
    SELECT seq FROM event AS e
    WHERE state = 'ready' AND blocked = 0 AND next_at <= :now
      AND (type IN (SELECT value FROM json_each(:types))) = :listed
      AND NOT EXISTS (
        SELECT 1 FROM event AS older
        WHERE older.path = e.path AND older.seq < e.seq AND older.state <> 'dead'
      )
    ORDER BY next_at, seq LIMIT :limit
)
RETURNING
    seq, id, type, path, time, data, store, store_path, gateway, attempt, since, request_id,
    upload_id, account, traceparent;

-- Claim the events of a path that follow a claimed one, up to the first that is not due.
-- name: claim_following
WITH following AS (
    SELECT
        seq,
        state = 'ready' AND leased = 0 AND next_at <= :now
        AND (type IN (SELECT value FROM json_each(:types))) = :listed AS due
    FROM event WHERE path = :path AND seq > :seq AND state <> 'dead'
    ORDER BY seq LIMIT :limit
)
UPDATE event SET leased = 1, next_at = :lease, attempt = attempt + 1
WHERE seq IN (
    SELECT seq FROM following
    WHERE seq < coalesce((SELECT min(seq) FROM following WHERE NOT due), seq + 1)
)
RETURNING
    seq, id, type, path, time, data, store, store_path, gateway, attempt, since, request_id,
    upload_id, account, traceparent;

-- name: unclaim
UPDATE event SET leased = 0, next_at = 0, attempt = attempt - 1
WHERE id IN (SELECT value FROM json_each(:ids)) AND state = 'ready' AND leased = 1;

-- Due time of the next event that does not wait for an older one of its path.
-- name: next_due
SELECT min(next_at) FROM event WHERE state = 'ready' AND blocked = 0 AND next_at > :now;

-- Keep delivered events. After a crash one may have been delivered twice.
-- name: keep
INSERT OR REPLACE INTO delivered
    (delivered_at, seq, id, type, path, time, data, attempt, store, store_path, gateway,
     request_id, upload_id, account, traceparent)
SELECT
    :now, seq, id, type, path, time, data, max(attempt, 1), store, store_path, gateway,
    request_id, upload_id, account, traceparent
FROM event WHERE id IN (SELECT value FROM json_each(:ids)) AND state <> 'dead';

-- name: trim
DELETE FROM delivered WHERE number <= (SELECT max(number) FROM delivered) - :most;

-- name: expire
DELETE FROM delivered WHERE delivered_at < :before;

-- name: expire_dead
DELETE FROM event WHERE state = 'dead' AND (
    since < :before
    OR seq <= (SELECT seq FROM event WHERE state = 'dead' ORDER BY seq DESC LIMIT 1 OFFSET :most)
);

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
UPDATE event SET state = 'ready', next_at = 0, since = :now, blocked = EXISTS (
    SELECT 1 FROM event AS older
    WHERE older.path = event.path AND older.seq < event.seq AND older.state <> 'dead'
)
WHERE id = :id AND state = 'dead';

-- Deliver a copy of a delivered event, under another id: workers pass over an id that they know.
-- name: replay_delivered
INSERT INTO event
    (id, type, path, time, data, state, store, store_path, gateway, token, since, request_id,
     upload_id, account, traceparent, blocked)
SELECT
    :copy, type, path, time, data, 'ready', store, store_path, gateway, '', :now, request_id,
    upload_id, account, traceparent,
    EXISTS (
        SELECT 1 FROM event AS older WHERE older.path = delivered.path AND older.state <> 'dead'
    )
FROM delivered WHERE id = :id;

-- Try a waiting event now.
-- name: retry_now
UPDATE event SET next_at = :now WHERE id = :id AND state = 'ready' AND leased = 0;

-- name: drop
DELETE FROM event WHERE id = :id AND state = 'dead';

-- name: list_events
SELECT seq, id, type, path, time, state, attempt, next_at, leased, reason, 0.0 FROM event
WHERE :state IN ('', state) OR (:state = 'sending' AND state = 'ready' AND leased = 1)
ORDER BY seq LIMIT :limit;

-- name: list_delivered
SELECT seq, id, type, path, time, 'delivered', attempt, 0.0, 0, '', delivered_at FROM delivered
ORDER BY number LIMIT :limit;

-- name: show
SELECT
    seq, id, type, path, time, state, attempt, next_at, leased, reason, 0.0,
    data, store, store_path, gateway
FROM event WHERE id = :id
UNION ALL
SELECT
    seq, id, type, path, time, 'delivered', attempt, 0.0, 0, '', delivered_at,
    data, store, store_path, gateway
FROM delivered WHERE id = :id
LIMIT 1;

-- name: counts
SELECT state, count(*) FROM event GROUP BY state
UNION ALL
SELECT 'delivered', count(*) FROM delivered HAVING count(*) > 0;
