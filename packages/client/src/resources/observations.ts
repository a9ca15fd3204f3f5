import {
  alertSchema,
  auditEntrySchema,
  remediationSchema,
  type Alert,
  type AuditEntry,
  type Remediation,
} from "@fairlead/protocol";
import type { Transport } from "../transport.ts";
import { readAll, readPage, type ListOptions, type Page } from "./list.ts";

/** What the plane saw and did: remediation cases, alerts and the audit log. */
export interface ObservationsClient {
  listRemediations(options?: ListOptions): Promise<Remediation[]>;
  getRemediation(remediationId: string): Promise<Remediation>;
  listAlerts(options?: ListOptions): Promise<Alert[]>;
  /** @throws ClientError `conflict` for an alert that ends with its cause */
  resolveAlert(alertId: string, reason: string): Promise<Alert>;
  listAudit(options?: ListOptions): Promise<AuditEntry[]>;
  readAuditPage(options: ListOptions): Promise<Page<AuditEntry>>;
}

export function createObservationsClient(transport: Transport): ObservationsClient {
  const audit = { path: ["audit"], item: auditEntrySchema };
  return {
    listRemediations: (options) => readAll(transport, { path: ["remediations"], item: remediationSchema }, options),
    getRemediation: (id) => transport.read(remediationSchema, { method: "GET", path: ["remediations", id] }),
    listAlerts: (options) => readAll(transport, { path: ["alerts"], item: alertSchema }, options),
    resolveAlert: (id, reason) =>
      transport.read(alertSchema, { method: "POST", path: ["alerts", id, "resolve"], json: { reason } }),
    listAudit: (options) => readAll(transport, audit, options),
    readAuditPage: (options) => readPage(transport, audit, options),
  };
}
