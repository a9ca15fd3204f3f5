ALTER TABLE devices ADD COLUMN pendingCertificate TEXT;
