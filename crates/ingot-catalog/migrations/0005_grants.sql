-- Who may do what with which securable. A privilege is its name in Unity Catalog's API, as `USE_SCHEMA`; the metastore
-- itself has the nil id.
CREATE TABLE grants (
    securable_id TEXT NOT NULL,
    principal TEXT NOT NULL,
    privilege TEXT NOT NULL,
    granted_at BIGINT NOT NULL,
    granted_by TEXT NOT NULL,
    PRIMARY KEY (securable_id, principal, privilege)
);

-- How often anything changed that decides what principals may do: one row. Who has read it all may go on to use it
-- for as long as the number stays.
CREATE TABLE policy_version (
    version BIGINT NOT NULL
);
INSERT INTO policy_version (version) VALUES (1);
