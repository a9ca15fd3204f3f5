ALTER TABLE devices ADD COLUMN identityWatch TEXT;
ALTER TABLE devices ADD COLUMN releasedAtMs INTEGER;
