-- Whoever does not ask the plane at each connection has to be told which certificates count no more.
CREATE TABLE device_certificates (
  serial TEXT PRIMARY KEY NOT NULL,
  device TEXT NOT NULL,
  notAfterMs INTEGER NOT NULL,
  endedAtMs INTEGER
) STRICT;
CREATE INDEX device_certificates_device ON device_certificates (device);
CREATE INDEX device_certificates_ended ON device_certificates (endedAtMs) WHERE endedAtMs IS NOT NULL;
INSERT INTO device_certificates
  SELECT certificateSerial, device, certificateNotAfterMs,
    CASE WHEN certificateFingerprint IS NULL THEN COALESCE(releasedAtMs, enrolledAtMs, 0) END
  FROM devices WHERE certificateSerial IS NOT NULL AND certificateNotAfterMs IS NOT NULL;
INSERT OR IGNORE INTO device_certificates
  SELECT json_extract(pendingCertificate, '$.serial'), device, json_extract(pendingCertificate, '$.notAfterMs'), NULL
  FROM devices WHERE json_extract(pendingCertificate, '$.serial') IS NOT NULL;
