import { idSchema, pageQuerySchema, remediationSchema, toListSchema, type Remediation } from "@fairlead/protocol";
import { CodedError } from "@fairlead/kernel";
import type { RemediationCase } from "@fairlead/remediation";
import type { Store } from "@fairlead/store";
import * as z from "zod";
import { createScopeView, listKept } from "../../authority/scope-view.ts";
import { parseCursor, toPage } from "../page-cursor.ts";
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
      ...{ method: "GET", path: "/api/v1/remediations", permission: "read", reach: "narrowed" },
      summary: "Remediation cases, newest first",
      request: { query: pageQuerySchema },
      response: toListSchema(remediationSchema),
      handle: async ({ query, scope }) => {
        const before = parseCursor(query.cursor);
        const view = createScopeView(store.read, scope);
        const rows = await listKept(
          query.limit + 1,
          (limit, offset) => store.read.remediations.list({ limit, offset, before }),
          ({ device }) => view.hasDevice(device),
        );
        const items = rows.map(({ caseData }) => toRemediation(caseData));
        return { body: toPage(items, query.limit, ({ remediationId }) => remediationId) };
      },
    }),
    defineRoute({
      ...{ method: "GET", path: "/api/v1/remediations/:remediation", permission: "read", reach: "narrowed" },
      summary: "One case: what was seen, done and verified",
      request: { params: z.strictObject({ remediation: idSchema }) },
      response: remediationSchema,
      errors: ["not_found"],
      handle: async ({ params: { remediation }, scope }) => {
        const row = await store.read.remediations.get(remediation);
        const isThere = row !== undefined && (await createScopeView(store.read, scope).hasDevice(row.device));
        if (!isThere) throw new CodedError("not_found", `there is no remediation ${remediation}`);
        return { body: toRemediation(row.caseData) };
      },
    }),
  ];
}
