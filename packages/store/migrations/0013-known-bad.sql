CREATE TABLE known_bad_versions (
  model TEXT NOT NULL,
  version TEXT NOT NULL,
  releaseId TEXT NOT NULL,
  rolloutId TEXT NOT NULL,
  code TEXT NOT NULL,
  reason TEXT NOT NULL,
  judgedAtMs INTEGER NOT NULL,
  acceptedBy TEXT,
  acceptedAtMs INTEGER,
  acceptedReason TEXT,
  PRIMARY KEY (model, version)
) STRICT;
