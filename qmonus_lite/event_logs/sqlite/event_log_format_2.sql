-- Format 2: the id of the request that stored the file.
ALTER TABLE event ADD COLUMN request_id TEXT NOT NULL DEFAULT '';
