-- Records of requests, and attempts to deliver their events; the columns: records_format_N.sql.
-- `store.py` makes the listings of `shown`, one for each set of filters, and `find`.

-- An attempt may have been written before, by the process that delivers.
-- name: record
INSERT INTO record (
    at, request_id, trace_id, upload_id, event_id, method, asked, path, account, peer, status,
    state, code, reason, plugin, file, line, content_hash, handlers, bytes, digest, seconds,
    seconds_to_open, seconds_to_seal
) VALUES (
    :at, :request_id, :trace_id, :upload_id, :event_id, :method, :asked, :path, :account, :peer,
    :status,
    coalesce(
        (SELECT CASE outcome WHEN 'retry' THEN 'retrying' ELSE outcome END FROM attempt
         WHERE event_id = :event_id AND :event_id <> '' ORDER BY id DESC LIMIT 1),
        :state
    ),
    :code, :reason, :plugin, :file, :line, :content_hash, :handlers, :bytes, :digest, :seconds,
    :seconds_to_open, :seconds_to_seal
);

-- name: attempt
INSERT INTO attempt (
    at, event_id, event, request_id, upload_id, path, number, outcome, status, worker, seconds,
    delay, code, reason, plugin, file, line, content_hash, handlers
) VALUES (
    :at, :event_id, :event, :request_id, :upload_id, :path, :number, :outcome, :status, :worker,
    :seconds, :delay, :code, :reason, :plugin, :file, :line, :content_hash, :handlers
);

-- name: set_state
UPDATE record SET state = :state WHERE event_id = :event_id AND event_id <> '';

-- name: trim_attempts
DELETE FROM attempt WHERE id IN (
    SELECT id FROM attempt WHERE event_id = :event_id ORDER BY id DESC LIMIT -1 OFFSET :most
);

-- The limits bound a transaction; what is left over goes with the next.
-- name: prune_records
DELETE FROM record WHERE id IN (
    SELECT id FROM record WHERE id <= (SELECT max(id) FROM record) - :most
    ORDER BY id LIMIT :limit
);

-- name: prune_attempts
DELETE FROM attempt WHERE id IN (
    SELECT id FROM attempt WHERE id <= (SELECT max(id) FROM attempt) - :most
    ORDER BY id LIMIT :limit
);

-- The oldest have the lowest ids, so that no index of times is needed.
-- name: expire_records
DELETE FROM record WHERE at < :before AND id IN (SELECT id FROM record ORDER BY id LIMIT :limit);

-- name: expire_attempts
DELETE FROM attempt WHERE at < :before AND id IN (SELECT id FROM attempt ORDER BY id LIMIT :limit);

-- Of what is shown; a condition and an order follow.
-- name: shown
SELECT
    id, at, request_id, trace_id, upload_id, event_id, method, asked, path, account, peer, status,
    state, code, reason, plugin, file, line, content_hash, handlers, bytes, digest, seconds,
    seconds_to_open, seconds_to_seal
FROM record

-- name: with_id
WHERE id IN (
    SELECT id FROM record WHERE request_id = :id
    UNION SELECT id FROM record WHERE upload_id = :id AND upload_id <> ''
    UNION SELECT id FROM record WHERE event_id = :id AND event_id <> ''
    UNION SELECT record.id FROM attempt JOIN record USING (request_id)
          WHERE attempt.event_id = :id
) ORDER BY id DESC LIMIT :limit;

-- Of an upload, with the events that its handlers published; else of a request, or of an event.
-- name: attempts
SELECT
    at, event_id, event, number, outcome, status, worker, seconds, delay, code, reason, plugin,
    file, line, content_hash, handlers
FROM attempt WHERE id IN (
    SELECT id FROM attempt WHERE upload_id = :upload_id AND upload_id <> ''
    UNION SELECT id FROM attempt WHERE request_id = :request_id AND request_id <> ''
        AND upload_id = ''
    UNION SELECT id FROM attempt WHERE event_id = :event_id AND event_id <> ''
) ORDER BY id DESC LIMIT :limit;

-- Deleted rows are overwritten in the file.
-- name: overwrite_deleted
PRAGMA secure_delete = ON;

-- name: forget_attempts_of_account
DELETE FROM attempt WHERE request_id IN (
    SELECT request_id FROM record WHERE account = :account
) OR upload_id IN (
    SELECT upload_id FROM record WHERE account = :account AND upload_id <> ''
);

-- name: forget_account
DELETE FROM record WHERE account = :account;

-- name: forget_attempts_of_path
DELETE FROM attempt WHERE path = :path OR (path >= :below AND path < :beyond);

-- name: forget_path
DELETE FROM record WHERE path = :path OR (path >= :below AND path < :beyond)
    OR asked = :path OR (asked >= :below AND asked < :beyond);
