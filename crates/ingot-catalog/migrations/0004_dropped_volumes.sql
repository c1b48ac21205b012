-- Managed volumes that were dropped, until their files are deleted.
CREATE TABLE dropped_volumes (
    id TEXT NOT NULL PRIMARY KEY,
    location TEXT NOT NULL,
    dropped_at BIGINT NOT NULL
);
