-- Functions that statements have made. Parameters and what is returned are JSON.

CREATE TABLE functions (
    id TEXT NOT NULL PRIMARY KEY,
    catalog_name TEXT NOT NULL,
    schema_name TEXT NOT NULL,
    name TEXT NOT NULL,
    parameters TEXT NOT NULL,
    returns TEXT NOT NULL,
    definition TEXT NOT NULL,
    definition_catalog TEXT NOT NULL,
    definition_schema TEXT NOT NULL,
    deterministic BOOLEAN NOT NULL,
    data_access TEXT NOT NULL CHECK (data_access IN ('CONTAINS_SQL', 'READS_SQL_DATA')),
    comment TEXT,
    properties TEXT NOT NULL,
    owner TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    updated_at BIGINT NOT NULL,
    updated_by TEXT NOT NULL,
    FOREIGN KEY (catalog_name, schema_name) REFERENCES schemas (catalog_name, name),
    UNIQUE (catalog_name, schema_name, name)
);
