import {
  alertSchema,
  idSchema,
  listQuerySchema,
  remediationSchema,
  toListSchema,
  type Remediation,
} from "@fairlead/protocol";
import { CodedError } from "@fairlead/kernel";
import type { RemediationCase } from "@fairlead/remediation";
import type { Store } from "@fairlead/store";
import { z } from "zod";
import { defineRoute, type AnyRoute } from "../route.ts";

function toRemediation(current: RemediationCase): Remediation {
  const { remediationId, device, rule, symptom, evidence, state, code, reason } = current;
  const { detectedAtMs, updatedAtMs, endedAtMs } = current;
  const actions = current.actions.map(({ attempt: _attempt, ...action }) => action);
  return {
    ...{ remediationId, device, rule, symptom, evidence, state, code, reason },
    ...{ detectedAtMs, updatedAtMs, endedAtMs, actions },
  };
}

export function createRemediationRoutes(store: Store): readonly AnyRoute[] {
  return [
    defineRoute({
      ...{ method: "GET", path: "/api/v1/remediations", permission: "read" },
      summary: "Remediation cases, newest first",
      request: { query: listQuerySchema },
      response: toListSchema(remediationSchema),
      handle: async ({ query }) => {
        const rows = await store.read.remediations.list(query.limit);
        return { body: { items: rows.map(({ caseData }) => toRemediation(caseData)), nextCursor: null } };
      },
    }),
    defineRoute({
      ...{ method: "GET", path: "/api/v1/remediations/:remediation", permission: "read" },
      summary: "One case: what was seen, done and verified",
      request: { params: z.strictObject({ remediation: idSchema }) },
      response: remediationSchema,
      errors: ["not_found"],
      handle: async ({ params: { remediation } }) => {
        const row = await store.read.remediations.get(remediation);
        if (row === undefined) throw new CodedError("not_found", `there is no remediation ${remediation}`);
        return { body: toRemediation(row.caseData) };
      },
    }),
    defineRoute({
      ...{ method: "GET", path: "/api/v1/alerts", permission: "read" },
      summary: "Alerts, newest first",
      request: { query: listQuerySchema },
      response: toListSchema(alertSchema),
      handle: async ({ query }) => {
        const rows = await store.read.alerts.list(query.limit);
        return { body: { items: rows.map(({ remediationId: _case, ...alert }) => alert), nextCursor: null } };
      },
    }),
  ];
}
