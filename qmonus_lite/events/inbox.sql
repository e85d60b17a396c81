-- The inbox: events that a worker has handled; the columns: inbox_format_N.sql.

-- name: remember
INSERT INTO handled (id, at, outcome) VALUES (:id, :at, :outcome)
ON CONFLICT (id) DO UPDATE SET at = :at, outcome = :outcome;

-- name: find
SELECT outcome FROM handled WHERE id = :id;

-- name: forget
DELETE FROM handled WHERE at < :before OR id IN (
    SELECT id FROM handled ORDER BY at DESC LIMIT -1 OFFSET :most
);
