CREATE TABLE sessions (
  sessionHash TEXT PRIMARY KEY NOT NULL,
  actor TEXT NOT NULL,
  tokenId TEXT,
  person TEXT,
  createdAtMs INTEGER NOT NULL,
  expiresAtMs INTEGER NOT NULL
) STRICT;
CREATE INDEX sessions_actor ON sessions (actor, createdAtMs);
CREATE INDEX sessions_end ON sessions (expiresAtMs);
