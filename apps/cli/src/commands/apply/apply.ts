import type { Command } from "../../command.ts";
import { readFleetFile } from "../../apply/documents.ts";
import { planDocument } from "../../apply/plan.ts";
import { openWorkplace, trustOptions } from "../../trust/workplace.ts";

const done = { create: "created", change: "changed", unchanged: "unchanged" } as const;
const planned = { create: "would be created", change: "would be changed", unchanged: "unchanged" } as const;

export const applyFile: Command = {
  noun: "apply",
  verb: "",
  summary: "Make the server match a file of documents (ModelVersion, Rollout, EnrolmentToken, DeviceLabels)",
  options: [
    { flags: "-f, --file <file>", description: "YAML, many documents ('-': standard input)", required: true },
    { flags: "--dry-run", description: "show the differences from the server and write nothing" },
    ...trustOptions,
  ],
  async run(context, input) {
    const { client, out, streams, signal, nowMs } = context;
    const file = input.required("file");
    const documents = readFleetFile(file);
    const dryRun = input.flag("dryRun") === true;
    const api = await client();
    const ui = { streams, quiet: out.quiet, signal, say: (text: string) => out.message(text) };
    const workplace = () => openWorkplace(context, input);
    const results: { subject: string; effect: string; changes: readonly string[]; result: string | null }[] = [];
    for (const document of documents) {
      const step = await planDocument(document, { client: api, file, ui, nowMs: nowMs(), workplace });
      const result = dryRun || step.effect === "unchanged" ? null : await step.write();
      const effect = (dryRun ? planned : done)[step.effect];
      results.push({ subject: step.subject, effect, changes: step.lines.map((line) => line.trim()), result });
      if (out.isStructured) continue;
      out.one(step, {
        name: (item) => item.subject,
        describe: (item) => [
          `${item.subject}  ${effect}`,
          ...(dryRun || item.effect !== "create" ? item.lines : []),
          ...(result === null ? [] : [`  ${result}`]),
        ],
      });
    }
    if (out.isStructured) out.value(results);
  },
};
