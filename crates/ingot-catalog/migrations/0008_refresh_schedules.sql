-- When a materialized view or a streaming table is to be refreshed, as its statement says; null for by hand.
ALTER TABLE tables ADD COLUMN refresh_schedule TEXT;
