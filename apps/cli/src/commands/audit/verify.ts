import type { Client } from "@fairlead/client";
import type { AuditHead } from "@fairlead/integrity";
import type { AuditEntry } from "@fairlead/protocol";
import type { Command } from "../../command.ts";
import { verifyPages } from "../../audit/verify-pages.ts";
import { CliError, toUsageError } from "../../errors.ts";

function parseHead(text: string | undefined): AuditHead | null {
  if (text === undefined) return null;
  const { index, hash } = /^(?<index>\d{1,15}):(?<hash>sha256:[0-9a-f]{64})$/u.exec(text)?.groups ?? {};
  if (index === undefined || hash === undefined)
    throw toUsageError("--head is INDEX:HASH as an earlier verification printed it");
  return { index: Number(index), hash };
}

async function* readPages({ observations }: Client, signal: AbortSignal): AsyncGenerator<readonly AuditEntry[]> {
  let cursor: string | null | undefined;
  while (cursor !== null) {
    const options = { limit: 1_000, signal, ...(cursor === undefined ? {} : { cursor }) };
    const page = await observations.readAuditPage(options);
    yield page.items;
    cursor = page.nextCursor;
  }
}

export const verifyAuditLog: Command = {
  noun: "audit",
  verb: "verify",
  summary: "Recompute every hash and link of the audit log on this machine",
  options: [
    { flags: "--head <head>", description: "INDEX:HASH that was printed earlier and kept; the log must hold it" },
  ],
  help: [
    "Whoever can write the database can also shorten the log, or write it anew as a whole; its own hashes do not show that.",
    "Keep the head that is printed somewhere else, and give it with --head the next time.",
  ].join("\n"),
  async run({ client, out, signal }, input) {
    const kept = parseHead(input.text("head"));
    const verdict = await verifyPages(readPages(await client(), signal), kept);
    if (verdict.kind === "broken")
      throw new CliError("audit_broken", `the audit log is broken at entry ${verdict.index}: ${verdict.reason}`, {
        hint: "keep a copy of the database: somebody or something changed the log",
      });
    const { entries, head } = verdict;
    const shown = head === null ? "none" : `${head.index}:${head.hash}`;
    out.one(
      { verified: true, entries, head: shown },
      {
        name: (item) => item.head,
        describe: (item) => [`the audit log is intact: ${item.entries} entries, head ${item.head}`],
      },
    );
    if (kept === null) out.message("keep the head elsewhere, and give it with --head the next time");
  },
};
