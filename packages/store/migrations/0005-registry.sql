CREATE TABLE artifacts (
  digest TEXT PRIMARY KEY NOT NULL,
  sizeBytes INTEGER NOT NULL CHECK (sizeBytes > 0),
  kind TEXT NOT NULL,
  inspection TEXT,
  createdAtMs INTEGER NOT NULL,
  createdBy TEXT NOT NULL
) STRICT;

CREATE TABLE model_versions (
  model TEXT NOT NULL,
  version TEXT NOT NULL,
  content TEXT NOT NULL,
  createdAtMs INTEGER NOT NULL,
  createdBy TEXT NOT NULL,
  PRIMARY KEY (model, version)
) STRICT;

CREATE TABLE releases (
  releaseId TEXT PRIMARY KEY NOT NULL,
  model TEXT NOT NULL,
  version TEXT NOT NULL,
  document TEXT NOT NULL,
  createdAtMs INTEGER NOT NULL,
  expiresAtMs INTEGER NOT NULL,
  createdBy TEXT NOT NULL,
  FOREIGN KEY (model, version) REFERENCES model_versions (model, version)
) STRICT;
CREATE INDEX releases_version ON releases (model, version, releaseId);
