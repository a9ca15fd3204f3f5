CREATE TABLE device_epochs (
  device TEXT NOT NULL,
  epoch TEXT NOT NULL,
  storedUpTo INTEGER NOT NULL,
  gaps INTEGER NOT NULL,
  gapSinceMs INTEGER,
  touchedAtMs INTEGER NOT NULL,
  PRIMARY KEY (device, epoch)
) STRICT;

CREATE TABLE received_ahead (
  device TEXT NOT NULL,
  epoch TEXT NOT NULL,
  seq INTEGER NOT NULL,
  PRIMARY KEY (device, epoch, seq)
) STRICT;

CREATE TABLE slot_windows (
  device TEXT NOT NULL,
  epoch TEXT NOT NULL,
  seq INTEGER NOT NULL,
  position INTEGER NOT NULL,
  slot TEXT NOT NULL,
  model TEXT NOT NULL,
  version TEXT NOT NULL,
  buildDigest TEXT NOT NULL,
  t0Ms INTEGER NOT NULL,
  t1Ms INTEGER NOT NULL,
  atMs INTEGER NOT NULL,
  receivedMs INTEGER NOT NULL,
  window TEXT NOT NULL,
  PRIMARY KEY (device, epoch, seq, position)
) STRICT;
CREATE INDEX slot_windows_build ON slot_windows (slot, buildDigest, atMs);
CREATE INDEX slot_windows_device ON slot_windows (device, atMs);
CREATE INDEX slot_windows_received ON slot_windows (receivedMs);

CREATE TABLE host_windows (
  device TEXT NOT NULL,
  epoch TEXT NOT NULL,
  seq INTEGER NOT NULL,
  position INTEGER NOT NULL,
  t0Ms INTEGER NOT NULL,
  t1Ms INTEGER NOT NULL,
  atMs INTEGER NOT NULL,
  receivedMs INTEGER NOT NULL,
  mergedWindows INTEGER NOT NULL,
  host TEXT NOT NULL,
  energy TEXT NOT NULL,
  PRIMARY KEY (device, epoch, seq, position)
) STRICT;
CREATE INDEX host_windows_device ON host_windows (device, atMs);
CREATE INDEX host_windows_received ON host_windows (receivedMs);

CREATE TABLE events (
  device TEXT NOT NULL,
  epoch TEXT NOT NULL,
  seq INTEGER NOT NULL,
  kind TEXT NOT NULL,
  tsMs INTEGER NOT NULL,
  receivedMs INTEGER NOT NULL,
  event TEXT NOT NULL,
  PRIMARY KEY (device, epoch, seq)
) STRICT;
CREATE INDEX events_device ON events (device, receivedMs);
CREATE INDEX events_received ON events (receivedMs);

CREATE TABLE evidence (
  device TEXT NOT NULL,
  epoch TEXT NOT NULL,
  seq INTEGER NOT NULL,
  chainIndex INTEGER NOT NULL,
  receivedMs INTEGER NOT NULL,
  evidence TEXT NOT NULL,
  verdict TEXT NOT NULL,
  PRIMARY KEY (device, epoch, seq)
) STRICT;
CREATE INDEX evidence_device ON evidence (device, receivedMs);

CREATE TABLE dead_letters (
  id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
  device TEXT NOT NULL,
  topic TEXT NOT NULL,
  code TEXT NOT NULL,
  reason TEXT NOT NULL,
  sizeBytes INTEGER NOT NULL,
  head TEXT NOT NULL,
  receivedMs INTEGER NOT NULL
) STRICT;
CREATE INDEX dead_letters_device ON dead_letters (device, id);
