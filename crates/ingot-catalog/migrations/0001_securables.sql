-- The tree of securables. Instants are milliseconds since the epoch; ids are UUIDs as text; lists and maps are JSON.
-- Only SQL that SQLite and Postgres both know.

CREATE TABLE catalogs (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    comment TEXT,
    properties TEXT NOT NULL,
    owner TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    updated_at BIGINT NOT NULL,
    updated_by TEXT NOT NULL
);

CREATE TABLE schemas (
    id TEXT NOT NULL PRIMARY KEY,
    catalog_name TEXT NOT NULL REFERENCES catalogs (name),
    name TEXT NOT NULL,
    comment TEXT,
    properties TEXT NOT NULL,
    owner TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    updated_at BIGINT NOT NULL,
    updated_by TEXT NOT NULL,
    UNIQUE (catalog_name, name)
);

-- Tables and views. A dropped table stays as a row until its files are gone, so it does not refer to its schema.
CREATE TABLE tables (
    id TEXT NOT NULL PRIMARY KEY,
    catalog_name TEXT NOT NULL,
    schema_name TEXT NOT NULL,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('CREATING', 'ACTIVE', 'DROPPED')),
    state_at BIGINT NOT NULL,
    location TEXT,
    definition TEXT,
    definition_catalog TEXT,
    definition_schema TEXT,
    columns TEXT NOT NULL,
    comment TEXT,
    properties TEXT NOT NULL,
    owner TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    updated_at BIGINT NOT NULL,
    updated_by TEXT NOT NULL
);

-- One live table or reservation has a name.
CREATE UNIQUE INDEX tables_name ON tables (catalog_name, schema_name, name) WHERE state <> 'DROPPED';
CREATE INDEX tables_state ON tables (state);
