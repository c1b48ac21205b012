-- Whether a view is a metric view: its definition is YAML then.
ALTER TABLE tables ADD COLUMN metrics BOOLEAN NOT NULL DEFAULT FALSE;
