CREATE TABLE enrolment_tokens (
  tokenId TEXT PRIMARY KEY NOT NULL,
  hash TEXT NOT NULL,
  description TEXT NOT NULL,
  labels TEXT NOT NULL,
  usesLeft INTEGER NOT NULL CHECK (usesLeft >= 0),
  autoApprove INTEGER NOT NULL,
  createdAtMs INTEGER NOT NULL,
  expiresAtMs INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX enrolment_tokens_hash ON enrolment_tokens (hash);
