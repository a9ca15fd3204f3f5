ALTER TABLE enrolment_tokens ADD COLUMN profile TEXT;
