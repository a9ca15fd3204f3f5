CREATE TABLE enrolments (
  enrolmentId TEXT PRIMARY KEY NOT NULL,
  tokenId TEXT NOT NULL,
  tokenHash TEXT NOT NULL,
  device TEXT NOT NULL,
  state TEXT NOT NULL,
  profile TEXT NOT NULL,
  labels TEXT NOT NULL,
  csr TEXT NOT NULL,
  csrFingerprint TEXT NOT NULL,
  fromAddress TEXT NOT NULL,
  requestedAtMs INTEGER NOT NULL,
  decidedAtMs INTEGER,
  reason TEXT,
  certificate TEXT
) STRICT;
CREATE INDEX enrolments_device ON enrolments (device, state);

CREATE TABLE admin_tokens (
  tokenId TEXT PRIMARY KEY NOT NULL,
  hash TEXT NOT NULL,
  description TEXT NOT NULL,
  createdAtMs INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX admin_tokens_hash ON admin_tokens (hash);

CREATE TABLE devices (
  device TEXT PRIMARY KEY NOT NULL,
  tenant TEXT NOT NULL,
  labels TEXT NOT NULL,
  profile TEXT NOT NULL,
  lifecycle TEXT NOT NULL,
  revision INTEGER NOT NULL,
  enrolledAtMs INTEGER,
  certificateSerial TEXT,
  certificateFingerprint TEXT,
  certificateNotAfterMs INTEGER,
  online INTEGER NOT NULL,
  session INTEGER,
  lastSeenMs INTEGER,
  birth TEXT,
  birthAtMs INTEGER,
  reported TEXT,
  reportedEpoch TEXT,
  reportedRevision INTEGER,
  reportedAtMs INTEGER,
  integrity TEXT NOT NULL,
  integrityReason TEXT,
  integrityAtMs INTEGER,
  chainIndex INTEGER,
  chainHead TEXT,
  measurements TEXT,
  fileBaseline TEXT,
  clockSkewMs REAL,
  epoch TEXT,
  deadLetters INTEGER NOT NULL
) STRICT;

CREATE TABLE device_slots (
  device TEXT NOT NULL REFERENCES devices (device),
  slot TEXT NOT NULL,
  releaseId TEXT,
  model TEXT,
  version TEXT,
  rolloutId TEXT,
  attempt INTEGER NOT NULL,
  soakMs INTEGER NOT NULL,
  release TEXT,
  knownDigests TEXT NOT NULL,
  updatedAtMs INTEGER NOT NULL,
  PRIMARY KEY (device, slot)
) STRICT;

CREATE TABLE desired_documents (
  device TEXT PRIMARY KEY NOT NULL REFERENCES devices (device),
  generation INTEGER NOT NULL,
  document TEXT NOT NULL,
  expiresAtMs INTEGER NOT NULL
) STRICT;
