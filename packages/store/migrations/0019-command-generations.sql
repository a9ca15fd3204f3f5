ALTER TABLE devices ADD COLUMN enrolledKey TEXT NOT NULL DEFAULT '';
ALTER TABLE devices ADD COLUMN commandGeneration INTEGER NOT NULL DEFAULT 0;
UPDATE devices SET enrolledKey = COALESCE((
  SELECT csrFingerprint FROM enrolments
  WHERE enrolments.device = devices.device AND state = 'approved'
  ORDER BY decidedAtMs DESC LIMIT 1
), '');
