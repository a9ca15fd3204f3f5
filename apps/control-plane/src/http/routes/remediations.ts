import { idSchema, listQuerySchema, remediationSchema, toListSchema, type Remediation } from "@fairlead/protocol";
import { CodedError } from "@fairlead/kernel";
import type { RemediationCase } from "@fairlead/remediation";
import type { Store } from "@fairlead/store";
import { z } from "zod";
import { createScopeView, listKept } from "../../authority/scope-view.ts";
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
      request: { query: listQuerySchema },
      response: toListSchema(remediationSchema),
      handle: async ({ query, scope }) => {
        const view = createScopeView(store.read, scope);
        const rows = await listKept(
          query.limit,
          (limit, offset) => store.read.remediations.list(limit, offset),
          ({ device }) => view.hasDevice(device),
        );
        return { body: { items: rows.map(({ caseData }) => toRemediation(caseData)), nextCursor: null } };
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
