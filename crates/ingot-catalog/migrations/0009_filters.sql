-- The row filter and the column masks of a table, as JSON.
ALTER TABLE tables ADD COLUMN filters TEXT NOT NULL DEFAULT '{}';
