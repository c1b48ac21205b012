-- Volumes: folders of files that are no tables.
CREATE TABLE volumes (
    id TEXT NOT NULL PRIMARY KEY,
    catalog_name TEXT NOT NULL,
    schema_name TEXT NOT NULL,
    name TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('MANAGED', 'EXTERNAL')),
    location TEXT NOT NULL,
    comment TEXT,
    owner TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    updated_at BIGINT NOT NULL,
    updated_by TEXT NOT NULL,
    FOREIGN KEY (catalog_name, schema_name) REFERENCES schemas (catalog_name, name),
    UNIQUE (catalog_name, schema_name, name)
);

-- Tags of securables, and of their columns; the column is empty for one of the securable itself.
CREATE TABLE tags (
    securable_id TEXT NOT NULL,
    column_name TEXT NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (securable_id, column_name, name)
);
