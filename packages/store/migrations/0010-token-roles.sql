ALTER TABLE admin_tokens ADD COLUMN role TEXT NOT NULL DEFAULT 'admin';
ALTER TABLE admin_tokens ADD COLUMN expiresAtMs INTEGER;
ALTER TABLE admin_tokens ADD COLUMN revokedAtMs INTEGER;
