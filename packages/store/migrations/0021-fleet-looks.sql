-- Every look at the fleet asks by what selectors choose, and for its states. A row has some kilobytes of evidence before
-- these columns, and would be read through to its end.
CREATE INDEX devices_selectable ON devices (device, labels, assurance);
CREATE INDEX devices_states ON devices (lifecycle, online, integrity);
CREATE INDEX devices_doubted ON devices (device) WHERE json_extract(identityWatch, '$.finding') IS NOT NULL;
CREATE INDEX devices_last_seen ON devices (online, lastSeenMs);
CREATE INDEX devices_verified ON devices (integrity, integrityAtMs);
