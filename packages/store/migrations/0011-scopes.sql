ALTER TABLE admin_tokens ADD COLUMN selector TEXT;
ALTER TABLE enrolment_tokens ADD COLUMN selector TEXT;
