-- Format 3: store, path in the store and gateway in place of absolute paths, address and port, so
-- that these are made at delivery from the present configuration.
--
-- An event whose file is below the launch directory (:root, which ends in a slash) becomes one of
-- this gateway. Any other event keeps its absolute paths, its address and its port.
ALTER TABLE event ADD COLUMN store TEXT NOT NULL DEFAULT 'file';
-- Path in the store; absolute if it was not below the launch directory.
ALTER TABLE event ADD COLUMN store_path TEXT NOT NULL DEFAULT '';
-- Id of the gateway that stored the file.
ALTER TABLE event ADD COLUMN gateway TEXT NOT NULL DEFAULT '';
-- What the store needs to tell whether the file was published: staging file and stored path.
ALTER TABLE event ADD COLUMN token TEXT NOT NULL DEFAULT '';

-- rtrim(staged, replace(staged, '/', '')) is the directory of the staging file, with a slash. One
-- that is named `staging` is that of the data directory, wherever that was.
UPDATE event SET
    store_path = CASE
        WHEN substr(final, 1, length(:root)) = :root THEN substr(final, length(:root) + 1)
        ELSE final
    END,
    token = CASE
        WHEN rtrim(staged, replace(staged, '/', '')) LIKE '%/staging/'
            THEN 'data:staging/' || substr(staged, length(rtrim(staged, replace(staged, '/', ''))) + 1)
        WHEN substr(staged, 1, length(:root)) = :root
            THEN 'root:' || substr(staged, length(:root) + 1)
        ELSE staged
    END || '/' || path;

UPDATE event SET
    gateway = :gateway,
    data = json_replace(data, '$.address', NULL, '$.port', NULL, '$.filepath', NULL)
WHERE substr(final, 1, length(:root)) = :root
  AND CASE WHEN json_valid(data) THEN json_extract(data, '$.filepath') = final ELSE 0 END;

ALTER TABLE event DROP COLUMN staged;
ALTER TABLE event DROP COLUMN final;
