ALTER TABLE devices ADD COLUMN decommission TEXT;
