import { isLocalBroker } from "@fairlead/bus";
import { knownDomains } from "@fairlead/inference/inspect";
import { CodedError, hasErrorCode } from "@fairlead/kernel";
import {
  choiceObjectiveSchema,
  executionProviderSchema,
  modelNameSchema,
  profileNameSchema,
  slotNameSchema,
} from "@fairlead/protocol";
import { readFileSync } from "node:fs";
import { isAbsolute, join, normalize } from "node:path";
import { parse } from "yaml";
import * as z from "zod";
import { mirrorsSchema } from "./models/mirror-config.ts";
import { isLoopback } from "./serve/loopback.ts";
import { runtimesSchema } from "./serving/runtime-config.ts";
import { schedulingSchema } from "./serving/scheduling-config.ts";
import { toServingAddress } from "./serving/serving-address.ts";
import { tpmSchema } from "./tpm/tpm-config.ts";

const socketSchema = z
  .string()
  .min(1)
  .max(107)
  .refine((path) => path === normalize(path) && !path.startsWith("..") && !/\0|\/$/u.test(path), {
    error: "is no plain path: neither . nor .. in it, no / at its end",
  });

/** Whom a batch job or a pipeline asks: a model by its name, or whatever a slot serves. */
const askedSchema = { model: modelNameSchema.nullable().default(null), slot: slotNameSchema.nullable().default(null) };
const isOneAsked = ({ model, slot }: { readonly model: string | null; readonly slot: string | null }): boolean =>
  (model === null) !== (slot === null);
const oneAskedHint = "either a model or a slot";

/** Everything that may be set. The file is `config.yaml` in the data folder; what is absent has its default. */
export const agentConfigSchema = z.strictObject({
  logLevel: z.enum(["debug", "info", "warn", "error"]).default("info"),
  /** Name of a board profile; null detects it. */
  profile: profileNameSchema.nullable().default(null),
  /** Folder that stands for `/` when sensors and drivers are looked at: where a container sees its host's files. */
  hardwareRoot: z.string().max(4_096).refine(isAbsolute, "not an absolute path").default("/"),
  /** From which temperature on batch work stands still; null for what the board's profile says. */
  heat: z.strictObject({ warnC: z.number().min(-50).max(200).nullable().default(null) }).prefault({}),
  /** The fleet to which this device belongs; a release for another fleet is refused, whoever asks for it. */
  fleet: slotNameSchema.nullable().default(null),
  /** Where the device's key is made; see tpm/tpm-config.ts. */
  tpm: tpmSchema.default("auto"),
  telemetry: z.strictObject({ windowMs: z.int().min(250).max(3_600_000).default(10_000) }).prefault({}),
  inference: z
    .strictObject({
      host: z
        .string()
        .max(64)
        .refine(isLoopback, {
          error: ({ input }) =>
            `${String(input)} is no loopback address, and the endpoint asks nobody who they are: leave it at 127.0.0.1 or ::1, and put a proxy that does in front of it`,
        })
        .default("127.0.0.1"),
      /** 0 takes any free port. */
      port: z.int().min(0).max(65_535).default(8_700),
      /** Path of a Unix socket that takes the place of host and port; below the data folder unless absolute. */
      socket: socketSchema.nullable().default(null),
      threads: z.int().min(1).max(64).default(1),
      /**
       * Runs of different models at once, among which quotas divide the device: with as many as there are slots each slot has
       * its own and nothing is divided. Null for one on an accelerator, and for as many as `threads` fit into the processors.
       */
      lanes: z.int().min(1).max(64).nullable().default(null),
      /** What models may run on here, the preferred one first; without "cpu" nothing falls back to it. */
      providers: z.array(executionProviderSchema).min(1).max(8).default(["cpu"]),
      /** Longest time of one run; beyond it the serving process counts as hung. */
      deadlineMs: z.int().min(10).max(600_000).default(10_000),
      /** Longest time of one load; an accelerator that compiles the whole model first may take minutes. */
      loadTimeoutMs: z.int().min(1_000).max(3_600_000).default(60_000),
      /**
       * Most memory that the serving process may hold: a load beyond it is refused, a run beyond it ends the process.
       * Null for three quarters of the device's; see serving/memory-limit.ts.
       */
      memoryLimitBytes: z.int().min(67_108_864).max(Number.MAX_SAFE_INTEGER).nullable().default(null),
      /** Whether clients on this device may pass tensors in shared memory objects: they then read and write what this user may. */
      sharedMemory: z.enum(["forbid", "allow"]).default("forbid"),
      /** Whether clients on this device may take an assigned model out of memory, and bring it back. */
      repository: z.enum(["forbid", "allow"]).default("forbid"),
      /**
       * Where a short run of a client that has the endpoint to itself takes place: on the thread that reads its requests, which
       * is faster by two wake-ups and lets a newcomer wait for one run, or always on the model's own.
       */
      loneRequests: z.enum(["inline", "thread"]).default("inline"),
      /** Accelerators whose sessions get processes of their own: slower by a copy, and a driver's crash takes nothing along. */
      isolated: z
        .array(executionProviderSchema.exclude(["cpu"]))
        .max(8)
        .default([]),
      /** How soon an accelerator that failed is tried again; the wait doubles up to the longest. */
      acceleratorRetry: z
        .strictObject({
          firstMs: z.int().min(100).max(86_400_000).default(30_000),
          maxMs: z.int().min(100).max(86_400_000).default(1_800_000),
        })
        .refine(({ firstMs, maxMs }) => firstMs <= maxMs, "firstMs is above maxMs")
        .prefault({}),
    })
    .prefault({}),
  /** Inference over folders of files, in the idle gaps of the device; see sources/folder-job.ts. */
  batch: z
    .array(
      z
        .strictObject({
          name: z.string().regex(/^[a-z0-9][a-z0-9-]{0,31}$/u, "lower-case letters, digits and hyphens"),
          ...askedSchema,
          folder: z.string().max(4_096).refine(isAbsolute, "not an absolute path"),
          parallel: z.int().min(1).max(16).default(1),
        })
        .refine(isOneAsked, oneAskedHint),
    )
    .max(16)
    .default([]),
  /** Which operators the models of this device may use, whoever signed them; it can only be narrowed here. */
  models: z
    .strictObject({
      allowDomains: z
        .array(z.enum(knownDomains))
        .max(knownDomains.length)
        .default([...knownDomains]),
      /** "Loop", "com.microsoft::QMoE". */
      denyOperators: z
        .array(z.string().regex(/^(?:[a-z.]{1,64}::)?[A-Za-z0-9]{1,64}$/u, "no operator"))
        .max(256)
        .default([]),
    })
    .prefault({}),
  /** Other servers that run models here, by name. */
  runtimes: runtimesSchema,
  /** How the slots of this device share it. */
  slots: schedulingSchema,
  /** What this device wants of its builds, before what a release says. The floor can only be raised here. */
  choice: z
    .strictObject({
      objective: choiceObjectiveSchema.nullable().default(null),
      accuracyFloor: z.number().min(0).max(1).nullable().default(null),
      /** How long each candidate is run. */
      benchmarkMs: z.int().min(100).max(60_000).default(1_000),
    })
    .prefault({}),
  /** From a topic of a broker on this device to another; see sources/topic-job.ts. */
  pipelines: z
    .array(
      z
        .strictObject({
          name: z.string().regex(/^[a-z0-9][a-z0-9-]{0,31}$/u, "lower-case letters, digits and hyphens"),
          ...askedSchema,
          broker: z.string().max(256).refine(isLocalBroker, "not mqtt:// on this device"),
          input: z.string().min(1).max(256),
          output: z
            .string()
            .min(1)
            .max(256)
            .regex(/^[^+#]+$/u, "no wildcards"),
          priority: z.enum(["realtime", "normal", "batch"]).default("normal"),
        })
        .refine(({ input, output }) => input !== output, "input and output are one topic")
        .refine(isOneAsked, oneAskedHint),
    )
    .max(16)
    .default([]),
  mirrors: mirrorsSchema,
  /** What holds while nobody says any more that nothing is newer; nothing new is taken then in any case. */
  trust: z
    .strictObject({
      /** How long after the last statement's end models are still served; null: for ever. */
      maxStaleServeMs: z
        .int()
        .min(0)
        .max(10 * 365 * 86_400_000)
        .nullable()
        .default(null),
      /** What happens after that: `stop` answers 503 with the reason, `alarm` serves on and says so. */
      onStale: z.enum(["stop", "alarm"]).default("stop"),
      /** How often somebody is asked whether anything is newer. */
      refreshMs: z.int().min(1_000).max(86_400_000).default(21_600_000),
    })
    .prefault({}),
  integrity: z
    .strictObject({
      periodMs: z.int().min(1_000).max(3_600_000).default(30_000),
      /** How often a file's size and times are compared. */
      checkMs: z.int().min(100).max(60_000).default(1_000),
    })
    .prefault({}),
  outbox: z
    .strictObject({
      capacityBytes: z
        .int()
        .min(1_048_576)
        .max(16 * 1024 ** 3)
        .default(32 * 1_048_576),
    })
    .prefault({}),
});

export type AgentConfig = z.infer<typeof agentConfigSchema>;

export const configFileName = "config.yaml";

function toWhole(name: string, text: string | undefined): number | undefined {
  if (text === undefined || text === "") return undefined;
  if (!/^\d{1,9}$/u.test(text)) throw invalid(`${name} is "${text}", not a whole number`);
  return Number(text);
}

function invalid(message: string, cause?: unknown): CodedError {
  return new CodedError("config_invalid", message, { cause, hint: `correct ${configFileName} or the environment` });
}

async function readFile(path: string): Promise<Record<string, unknown>> {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    if (hasErrorCode(error, "ENOENT")) return {};
    throw invalid(`${path} cannot be read`, error);
  }
  if (text.length > 65_536) throw invalid(`${path} is longer than 65,536 characters`);
  try {
    const value: unknown = parse(text, { maxAliasCount: 0 }) ?? {};
    if (typeof value === "object" && !Array.isArray(value)) return { ...value };
  } catch (error) {
    throw invalid(`${path} is not YAML`, error);
  }
  throw invalid(`${path} is not a mapping`);
}

/** File first, then the environment over it. @throws CodedError `config_invalid` with every bad field */
export async function loadConfig(
  root: string,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<AgentConfig> {
  const parsed = agentConfigSchema.safeParse(await readFile(join(root, configFileName)));
  if (!parsed.success) throw invalid(`${configFileName}: ${z.prettifyError(parsed.error)}`, parsed.error);
  const windowMs = toWhole("FAIRLEAD_AGENT_TELEMETRY_WINDOW_MS", environment["FAIRLEAD_AGENT_TELEMETRY_WINDOW_MS"]);
  const port = toWhole("FAIRLEAD_AGENT_INFERENCE_PORT", environment["FAIRLEAD_AGENT_INFERENCE_PORT"]);
  const logLevel = environment["FAIRLEAD_AGENT_LOG_LEVEL"];
  const { telemetry, inference } = parsed.data;
  const merged = agentConfigSchema.safeParse({
    ...parsed.data,
    telemetry: { ...telemetry, ...(windowMs === undefined ? {} : { windowMs }) },
    inference: { ...inference, ...(port === undefined ? {} : { port }) },
    ...(logLevel === undefined ? {} : { logLevel }),
  });
  if (!merged.success) throw invalid(`the environment: ${z.prettifyError(merged.error)}`, merged.error);
  toServingAddress(merged.data.inference, root);
  return merged.data;
}
