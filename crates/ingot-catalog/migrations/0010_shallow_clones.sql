-- Whether a table was made by SHALLOW CLONE, and not replaced since.
ALTER TABLE tables ADD COLUMN shallow_clone BOOLEAN NOT NULL DEFAULT FALSE;
