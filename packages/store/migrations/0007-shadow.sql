ALTER TABLE device_slots ADD COLUMN shadow TEXT;
ALTER TABLE slot_windows ADD COLUMN energyMethod TEXT;
