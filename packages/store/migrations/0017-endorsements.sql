CREATE TABLE endorsements (
  fingerprint TEXT PRIMARY KEY NOT NULL,
  description TEXT NOT NULL,
  labels TEXT NOT NULL,
  profile TEXT,
  device TEXT,
  autoApprove INTEGER NOT NULL,
  source TEXT NOT NULL,
  createdAtMs INTEGER NOT NULL,
  createdBy TEXT NOT NULL
) STRICT;
ALTER TABLE devices ADD COLUMN assurance TEXT NOT NULL DEFAULT 'software';
ALTER TABLE devices ADD COLUMN identityKey TEXT;
ALTER TABLE devices ADD COLUMN endorsement TEXT;
ALTER TABLE enrolments ADD COLUMN assurance TEXT NOT NULL DEFAULT 'software';
ALTER TABLE enrolments ADD COLUMN identityKey TEXT;
ALTER TABLE enrolments ADD COLUMN endorsement TEXT;
