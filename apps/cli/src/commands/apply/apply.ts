import { toErrorCode, toErrorMessage, withoutSecrets } from "@fairlead/kernel";
import type { Command } from "../../command.ts";
import { readFleetFile } from "../../apply/documents.ts";
import { assertNone, planAll, prepareAll } from "../../apply/plan-all.ts";
import type { Step } from "../../apply/step.ts";
import type { Output } from "../../output/output.ts";
import { openWorkplace, trustOptions } from "../../trust/workplace.ts";

const done = { create: "created", change: "changed", unchanged: "unchanged" } as const;
const planned = { create: "would be created", change: "would be changed", unchanged: "unchanged" } as const;

interface Result {
  readonly subject: string;
  readonly effect: string;
  readonly changes: readonly string[];
  readonly result: string | null;
  readonly error?: { readonly code: string | null; readonly message: string };
}

const toResult = ({ subject, lines }: Step, effect: string, result: string | null): Result => ({
  ...{ subject, effect, changes: lines.map((line) => line.trim()), result },
});

/** For people at once, step by step; for programs together, by whoever calls. */
function show(out: Output, step: Step, { effect, result }: Result): void {
  if (out.isStructured) return;
  if (out.format === "name") {
    out.lines([step.subject]);
    // Standard output holds names alone, and a secret is not shown again.
    if (result !== null && step.isShownOnce) out.error(result);
    return;
  }
  out.lines([
    `${step.subject}  ${effect}`,
    ...(effect === done.create ? [] : step.lines),
    ...(result === null ? [] : [`  ${result}`]),
  ]);
}

/** Writes one after another. The first failure ends it, after what was done until then has been shown. */
async function writeAll(out: Output, steps: readonly Step[]): Promise<void> {
  const results: Result[] = [];
  let failure: { readonly error: unknown } | undefined;
  for (const step of steps) {
    if (failure !== undefined) {
      results.push(toResult(step, "not tried", null));
      continue;
    }
    let partly: string | null = null;
    try {
      const written = step.effect === "unchanged" ? null : await step.write((text) => (partly = text));
      const result = toResult(step, done[step.effect], written);
      results.push(result);
      show(out, step, result);
    } catch (error) {
      failure = { error };
      const told = { code: toErrorCode(error) ?? null, message: withoutSecrets(toErrorMessage(error)) };
      results.push({ ...toResult(step, "failed", partly), error: told });
    }
  }
  if (out.isStructured) out.value(results);
  else if (out.format !== "name")
    out.lines(
      results.flatMap(({ subject, effect, result }) =>
        effect !== "failed" && effect !== "not tried"
          ? []
          : [`${subject}  ${effect}`, ...(result === null ? [] : [`  ${result}`])],
      ),
    );
  if (failure !== undefined) throw failure.error;
}

export const applyFile: Command = {
  noun: "apply",
  verb: "",
  summary: "Make the server match a file of documents (ModelVersion, Rollout, EnrolmentToken, DeviceLabels)",
  options: [
    { flags: "-f, --file <file>", description: "YAML, many documents ('-': standard input)", required: true },
    { flags: "--dry-run", description: "show the differences from the server and write nothing" },
    ...trustOptions,
  ],
  help: `Every document is checked before the first one is written; --dry-run says the same of them, without the keys that sign releases.
If a document fails all the same, the output says what was done before it, and the exit code is not 0.`,
  async run(context, input) {
    const { client, out, streams, signal, nowMs } = context;
    const file = input.required("file");
    const documents = readFleetFile(file);
    const ui = { streams, quiet: out.quiet, signal, say: (text: string) => out.message(text) };
    const workplace = () => openWorkplace(context, input);
    const { steps, refusals } = await planAll(documents, {
      ...{ client: await client(), file, ui, nowMs: nowMs(), workplace },
    });
    if (input.flag("dryRun") === true) {
      const results = steps.map((step) => {
        const result = toResult(step, planned[step.effect], null);
        show(out, step, result);
        return result;
      });
      if (out.isStructured) out.value(results);
      return assertNone(refusals);
    }
    assertNone(refusals);
    assertNone(await prepareAll(steps));
    await writeAll(out, steps);
  },
};
