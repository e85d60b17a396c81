-- Format 5: the account of the request that stored the file, and its span (W3C Trace Context), for
-- log records and for handlers.
ALTER TABLE event ADD COLUMN account TEXT NOT NULL DEFAULT '';
ALTER TABLE event ADD COLUMN traceparent TEXT NOT NULL DEFAULT '';
ALTER TABLE delivered ADD COLUMN account TEXT NOT NULL DEFAULT '';
ALTER TABLE delivered ADD COLUMN traceparent TEXT NOT NULL DEFAULT '';
