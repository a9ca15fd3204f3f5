CREATE TABLE rollouts (
  rolloutId TEXT PRIMARY KEY NOT NULL,
  slot TEXT NOT NULL,
  selector TEXT NOT NULL,
  state TEXT NOT NULL,
  createdBy TEXT NOT NULL,
  updatedAtMs INTEGER NOT NULL,
  revision INTEGER NOT NULL,
  record TEXT NOT NULL
) STRICT;
CREATE INDEX rollouts_state ON rollouts (state, slot);

CREATE TABLE commands (
  commandId TEXT PRIMARY KEY NOT NULL,
  device TEXT NOT NULL,
  state TEXT NOT NULL,
  code TEXT,
  reason TEXT,
  remediationId TEXT,
  document TEXT NOT NULL,
  issuedAtMs INTEGER NOT NULL,
  deadlineAtMs INTEGER NOT NULL,
  endedAtMs INTEGER
) STRICT;
CREATE INDEX commands_device ON commands (device, state);
CREATE INDEX commands_deadline ON commands (state, deadlineAtMs);

CREATE TABLE remediations (
  remediationId TEXT PRIMARY KEY NOT NULL,
  device TEXT NOT NULL,
  open INTEGER NOT NULL,
  updatedAtMs INTEGER NOT NULL,
  caseData TEXT NOT NULL
) STRICT;
CREATE INDEX remediations_open ON remediations (open, updatedAtMs);

CREATE TABLE alerts (
  alertId TEXT PRIMARY KEY NOT NULL,
  remediationId TEXT,
  device TEXT,
  kind TEXT NOT NULL,
  state TEXT NOT NULL,
  summary TEXT NOT NULL,
  firedAtMs INTEGER NOT NULL,
  resolvedAtMs INTEGER
) STRICT;
CREATE INDEX alerts_state ON alerts (state, firedAtMs);
