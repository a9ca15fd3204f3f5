import type { Remediation } from "@fairlead/protocol";
import type { Command } from "../../command.ts";
import { firstArgument } from "../../input.ts";
import { findOrSuggest, kinds } from "../../not-found.ts";

const toTime = (tsMs: number): string => new Date(tsMs).toISOString();

function describe(item: Remediation): string[] {
  return [
    `remediation  ${item.remediationId}`,
    `device       ${item.device}`,
    `symptom      ${item.symptom}, by rule ${item.rule}`,
    `state        ${item.state} (${item.code}): ${item.reason}`,
    `detected     ${toTime(item.detectedAtMs)}`,
    `ended        ${item.endedAtMs === null ? "not yet" : toTime(item.endedAtMs)}`,
    `evidence     ${JSON.stringify(item.evidence)}`,
    ...item.actions.map(
      (action) => `action       ${toTime(action.atMs)}  ${action.kind}  ${action.state}  ${action.detail}`,
    ),
  ];
}

export const listRemediations: Command = {
  noun: "remediations",
  verb: "list",
  summary: "List what was detected and what was done about it",
  async run({ client, out }) {
    out.list(await (await client()).observations.listRemediations(), {
      name: (item) => item.remediationId,
      empty: "no remediations",
      columns: [
        { title: "REMEDIATION", cell: (item) => item.remediationId },
        { title: "DEVICE", cell: (item) => item.device },
        { title: "SYMPTOM", cell: (item) => item.symptom },
        { title: "STATE", cell: (item) => item.state },
        { title: "ACTIONS", cell: (item) => item.actions.map((action) => action.kind).join(", ") || "-" },
        { title: "DETECTED", cell: (item) => out.toAge(item.detectedAtMs) },
        { title: "REASON", cell: (item) => item.reason, wide: true },
      ],
    });
  },
};

export const describeRemediation: Command = {
  noun: "remediations",
  verb: "describe",
  summary: "Show one case: evidence, plan, actions, outcome",
  arguments: [{ syntax: "<remediation>", description: "its id" }],
  async run({ client, out }, input) {
    const { observations } = await client();
    const id = firstArgument(input);
    const item = await findOrSuggest(kinds.remediation, id, {
      find: () => observations.getRemediation(id),
      listNames: async () => (await observations.listRemediations()).map((entry) => entry.remediationId),
    });
    out.one(item, { name: (entry) => entry.remediationId, describe });
  },
};
