import type { Command } from "../../command.ts";
import { verifyChain } from "../../audit/verify-chain.ts";
import { CliError, toUsageError } from "../../errors.ts";

export const listAudit: Command = {
  noun: "audit",
  verb: "list",
  summary: "List who did what to whom and why; --verify checks the hash chain here",
  options: [
    { flags: "--limit <count>", description: "the newest entries only (0: all)", default: "50" },
    { flags: "--verify", description: "recompute every hash and link on this machine; reads the whole log" },
  ],
  async run({ client, out }, input) {
    const limit = Number(input.required("limit"));
    if (!Number.isInteger(limit) || limit < 0) throw toUsageError("--limit is a whole number from 0");
    const entries = (await (await client()).observations.listAudit()).toSorted(
      (left, right) => left.index - right.index,
    );
    out.list(limit === 0 ? entries : entries.slice(-limit), {
      name: (entry) => String(entry.index),
      empty: "the audit log is empty",
      columns: [
        { title: "INDEX", cell: (entry) => String(entry.index) },
        { title: "TIME", cell: (entry) => new Date(entry.tsMs).toISOString() },
        { title: "ACTOR", cell: (entry) => entry.actor },
        { title: "ACTION", cell: (entry) => entry.action },
        { title: "SUBJECT", cell: (entry) => entry.subject },
        { title: "REASON", cell: (entry) => entry.reason },
        { title: "DETAILS", cell: (entry) => JSON.stringify(entry.details), wide: true },
        { title: "HASH", cell: (entry) => entry.hash, wide: true },
      ],
    });
    if (input.flag("verify") !== true) return;
    const verdict = verifyChain(entries);
    if (verdict.kind === "broken")
      throw new CliError("audit_broken", `the audit log is broken at entry ${verdict.index}: ${verdict.why}`, {
        hint: "keep a copy of the database: somebody or something changed the log",
      });
    const first = entries[0]?.index ?? 0;
    if (first !== 0) throw new CliError("audit_broken", `the audit log begins at entry ${first}, not 0`);
    out.message(`the audit log is intact: ${verdict.entries} entries, head ${verdict.head ?? "none"}`);
  },
};
