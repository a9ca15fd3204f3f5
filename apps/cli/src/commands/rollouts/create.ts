import { readFileSync } from "node:fs";
import { ClientError, type Client } from "@fairlead/client";
import { toErrorMessage } from "@fairlead/kernel";
import type { RolloutSpec, RolloutStatus } from "@fairlead/protocol";
import { parse } from "yaml";
import type { Command, Input } from "../../command.ts";
import { CliError, toUsageError } from "../../errors.ts";
import { toReleaseMissing } from "../../models/find-version.ts";
import { parseRolloutSpec, toRolloutSpec } from "../../rollouts/to-spec.ts";
import { watchRollout } from "./status.ts";
import { rolloutView } from "./view.ts";

function readSpecFile(path: string): RolloutSpec {
  let value: unknown;
  try {
    value = parse(readFileSync(path === "-" ? 0 : path, "utf8"));
  } catch (error) {
    const why = toErrorMessage(error).split("\n")[0] ?? "";
    throw new CliError("file_unreadable", `cannot read a rollout from ${path}: ${why}`, { cause: error });
  }
  const inner: unknown = typeof value === "object" && value !== null && "spec" in value ? value.spec : value;
  return parseRolloutSpec(inner, path);
}

/** Options that say what a file says, too: one of them beside it would be passed over. */
const describing = {
  texts: [
    ...["model", "version", "slot", "selector", "stages", "control", "soak", "stageTimeout", "deviceSoak"],
    ...["maxFailures", "successRatio", "onFailure"],
  ],
  lists: ["gate", "shadow"],
  flags: ["manual", "allDevices"],
} as const;

const toFlag = (name: string): string => `--${name.replaceAll(/[A-Z]/gu, (letter) => `-${letter.toLowerCase()}`)}`;

function toSpec(input: Input): RolloutSpec {
  const file = input.text("file");
  if (file !== undefined) {
    const given = [
      ...describing.texts.filter((name) => input.text(name) !== undefined),
      ...describing.lists.filter((name) => input.many(name).length > 0),
      ...describing.flags.filter((name) => input.flag(name) === true),
    ];
    if (given.length > 0)
      throw toUsageError(
        "--file excludes the options that describe a rollout",
        `say it in the file: ${given.map(toFlag).join(", ")}`,
      );
    return readSpecFile(file);
  }
  const optional = (name: string) => {
    const value = input.text(name);
    return value === undefined ? {} : { [name]: value };
  };
  return toRolloutSpec({
    model: input.required("model"),
    version: input.required("version"),
    slot: input.required("slot"),
    ...toDevices(input),
    stages: input.required("stages"),
    gate: input.many("gate"),
    shadow: input.many("shadow"),
    ...optional("control"),
    ...optional("soak"),
    ...optional("stageTimeout"),
    ...optional("deviceSoak"),
    ...optional("maxFailures"),
    ...optional("successRatio"),
    ...optional("onFailure"),
    manual: input.flag("manual") === true,
  });
}

function toDevices(input: Input): Pick<RolloutSpec, "selector" | "wholeFleet"> {
  if (input.flag("allDevices") !== true) return { selector: input.required("selector"), wholeFleet: false };
  if (input.text("selector") !== undefined) throw toUsageError("--all-devices takes the place of --selector");
  return { selector: "", wholeFleet: true };
}

/** A version that nobody signed is often one that was mistyped. */
async function createOrSuggest(client: Client, spec: RolloutSpec): Promise<RolloutStatus> {
  try {
    return await client.rollouts.create(spec);
  } catch (error) {
    if (!(error instanceof ClientError) || error.code !== "release_missing") throw error;
    throw await toReleaseMissing(client, spec.model, spec.version).catch(() => error);
  }
}

export const createRollout: Command = {
  noun: "rollouts",
  verb: "create",
  summary: "Start a staged rollout of a signed version",
  options: [
    { flags: "-f, --file <file>", description: "the rollout as YAML or JSON ('-': standard input)" },
    { flags: "--model <name>", description: "model name" },
    { flags: "--version <version>", description: "signed version" },
    { flags: "--slot <slot>", description: "slot that shall run it" },
    { flags: "-l, --selector <selector>", description: "devices that take part" },
    { flags: "--all-devices", description: "every device of the fleet, in place of a selector" },
    { flags: "--stages <stages>", description: "canary=10%,half=50%,all=100% or NAME={selector}" },
    { flags: "--gate <gate>", description: "a question each stage must answer (repeatable)", repeatable: true },
    {
      flags: "--shadow <stage=n%>",
      description: "a stage that runs the version beside the one that serves, on n% of its requests (repeatable)",
      repeatable: true,
    },
    { flags: "--control <selector>", description: "devices that keep the previous version for comparison" },
    { flags: "--soak <duration>", description: "how long each stage is watched" },
    { flags: "--stage-timeout <duration>", description: "how long a stage may take" },
    { flags: "--device-soak <duration>", description: "how long each device watches itself before it confirms" },
    { flags: "--max-failures <n|n%>", description: "a stage fails when more devices fail" },
    { flags: "--success-ratio <ratio>", description: "share of a stage's devices that must succeed" },
    { flags: "--manual", description: "each stage waits for rollouts promote" },
    { flags: "--on-failure <what>", description: "what a failed gate does", choices: ["rollback", "pause"] },
    { flags: "-w, --watch", description: "then follow it to its end" },
  ],
  help: `Gates, quoted: [STAGE,…:]METRIC<=BOUND[@REQUESTS]
  'self-test>=1'  'errors<=1%'  'errors-increase<=0.5%'  'confidence>=0.6'  'confidence-drop<=0.1'
  'latency-p95<=40ms'  'canary,half:latency-p95-ratio<=1.2@200'  'drift<=0.1'
  'energy<=0.5j'  'energy-ratio<=1.2'  'agreement>=95%' (of a --shadow stage, with the build that serves beside it)
-increase, -drop, -ratio and drift compare with --control; @REQUESTS is the least number of requests that counts.`,
  async run(context, input) {
    const { out } = context;
    const spec = toSpec(input);
    const created = await createOrSuggest(await context.client(), spec);
    if (input.flag("watch") === true) return watchRollout(context, created.rolloutId);
    if (out.isStructured) out.value(created);
    else out.list([created], rolloutView(out));
    out.message(`next: fairlead rollouts status ${created.rolloutId}`);
    return undefined;
  },
};
