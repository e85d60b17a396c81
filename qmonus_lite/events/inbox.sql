-- The inbox: events that a worker has handled, to deduplicate repeated deliveries.

-- name: schema
CREATE TABLE IF NOT EXISTS handled (
    id      TEXT PRIMARY KEY,
    -- Seconds since the epoch.
    at      REAL NOT NULL,
    -- JSON of the outcome, without the event.
    outcome TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS handled_at ON handled (at);

-- name: remember
INSERT INTO handled (id, at, outcome) VALUES (:id, :at, :outcome)
ON CONFLICT (id) DO UPDATE SET at = :at, outcome = :outcome;

-- name: find
SELECT outcome FROM handled WHERE id = :id;

-- name: forget
DELETE FROM handled WHERE at < :before OR id IN (
    SELECT id FROM handled ORDER BY at DESC LIMIT -1 OFFSET :most
);
