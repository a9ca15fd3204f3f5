CREATE TABLE trust_metadata (
  name TEXT PRIMARY KEY NOT NULL,
  role TEXT NOT NULL,
  version INTEGER NOT NULL CHECK (version > 0),
  text TEXT NOT NULL,
  createdAtMs INTEGER NOT NULL,
  createdBy TEXT NOT NULL
) STRICT;
CREATE INDEX trust_metadata_role ON trust_metadata (role, version);
