ALTER TABLE admin_tokens ADD COLUMN person TEXT NOT NULL DEFAULT 'owner';
