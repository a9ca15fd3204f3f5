CREATE TABLE webhooks (
  webhookId TEXT PRIMARY KEY NOT NULL,
  url TEXT NOT NULL,
  description TEXT NOT NULL,
  events TEXT NOT NULL,
  sealedSecret TEXT NOT NULL,
  state TEXT NOT NULL,
  reason TEXT,
  alertId TEXT,
  createdAtMs INTEGER NOT NULL,
  createdBy TEXT NOT NULL,
  lastDeliveredAtMs INTEGER
) STRICT;

CREATE TABLE webhook_deliveries (
  deliveryId TEXT PRIMARY KEY NOT NULL,
  webhookId TEXT NOT NULL,
  type TEXT NOT NULL,
  subject TEXT NOT NULL,
  body TEXT NOT NULL,
  state TEXT NOT NULL,
  attempts INTEGER NOT NULL,
  createdAtMs INTEGER NOT NULL,
  nextAttemptAtMs INTEGER,
  lastAttemptAtMs INTEGER,
  endedAtMs INTEGER,
  status INTEGER,
  reason TEXT
) STRICT;
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (webhookId, state, nextAttemptAtMs);
CREATE INDEX webhook_deliveries_of ON webhook_deliveries (webhookId, deliveryId);
