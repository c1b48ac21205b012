-- Keys of tables, which nothing enforces. Lists of columns are JSON; a foreign key refers to the primary key of its parent.
CREATE TABLE table_constraints (
    table_id TEXT NOT NULL,
    name TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('PRIMARY KEY', 'FOREIGN KEY')),
    columns TEXT NOT NULL,
    timeseries TEXT,
    parent_id TEXT,
    parent_columns TEXT,
    rely BOOLEAN NOT NULL,
    PRIMARY KEY (table_id, name)
);

CREATE INDEX table_constraints_parent ON table_constraints (parent_id);
