import type { Command } from "../../command.ts";
import { verifyAudit } from "../../audit/verify-chain.ts";
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
    const { observations } = await client();
    const verify = input.flag("verify") === true;
    // The server gives the newest first; checking the chain needs them all.
    const wholeLog = verify || limit === 0 || limit > 1_000;
    const read = wholeLog ? await observations.listAudit() : (await observations.readAuditPage({ limit })).items;
    const entries = read.toSorted((left, right) => left.index - right.index);
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
    if (!verify) return;
    const verdict = verifyAudit(entries);
    if (verdict.kind === "broken")
      throw new CliError("audit_broken", `the audit log is broken at entry ${verdict.index}: ${verdict.reason}`, {
        hint: "keep a copy of the database: somebody or something changed the log",
      });
    out.message(`the audit log is intact: ${entries.length} entries, head ${verdict.head?.hash ?? "none"}`);
    out.message("keep the head elsewhere: a log that was shortened no longer reaches it");
  },
};
