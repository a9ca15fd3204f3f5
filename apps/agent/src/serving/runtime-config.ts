import { executionProviderSchema, slotNameSchema } from "@fairlead/protocol";
import { isAbsolute, join } from "node:path";
import * as z from "zod";
import type { SidecarConfig } from "../serve/ipc.ts";

const textSchema = z
  .string()
  .min(1)
  .max(4_096)
  .refine((text) => !text.includes("\0"), "holds a zero byte");
const loopback = /^http:\/\/(?:127(?:\.\d{1,3}){3}|\[::1\])(?::\d{1,5})?(?:\/[\w./-]*)?$/u;
const socket = /^unix:\/[^\0]{1,106}$/u;

/** A server of another vendor that runs models on this device: started, watched and ended by the agent. */
export const sidecarSchema = z.strictObject({
  kind: z.literal("open-inference"),
  /** Program and arguments, no shell; `{repository}` becomes the folder of models, `{config}` the path of a config file. */
  command: z.array(textSchema).min(1).max(64),
  url: z
    .string()
    .refine((url) => loopback.test(url) || socket.test(url), "is neither http: on a loopback address nor unix:/path"),
  /** Folder from which the server takes models; below the data folder unless absolute. */
  repository: textSchema.optional(),
  /** config-file: for OpenVINO Model Server, which reads what to serve from the file at `{config}`. */
  control: z.enum(["explicit", "poll", "config-file"]).default("explicit"),
  /** auto: as binary data where the server's metadata names the extension; some have it and do not say so. */
  tensors: z.enum(["auto", "binary", "json"]).default("auto"),
  providers: z.array(executionProviderSchema).min(1).max(8).default(["cpu"]),
  /** Slots whose models run there whatever their builds say. */
  slots: z.array(slotNameSchema).max(64).default([]),
  environment: z.record(z.string().regex(/^[A-Za-z_]\w{0,63}$/u), z.string().max(4_096)).default({}),
  readyTimeoutMs: z.int().min(100).max(600_000).default(30_000),
  /** Longest time of one load, the start of the server included. */
  loadTimeoutMs: z.int().min(1_000).max(3_600_000).default(60_000),
  memoryLimitBytes: z
    .int()
    .min(16 * 1_048_576)
    .max(2 ** 50)
    .nullable()
    .default(null),
});

export const runtimesSchema = z
  .record(z.string().regex(/^(?!onnxruntime$)[a-z][a-z0-9-]{0,31}$/u), sidecarSchema)
  .refine((runtimes) => Object.keys(runtimes).length <= 8, "more than 8 runtimes")
  .refine((runtimes) => {
    const slots = Object.values(runtimes).flatMap((runtime) => runtime.slots);
    return new Set(slots).size === slots.length;
  }, "a slot is given to two runtimes")
  .default({});

export type RuntimesConfig = z.infer<typeof runtimesSchema>;

/** Where what is known of a server is kept, below the data folder. */
export const toSidecarFolder = (root: string, name: string): string => join(root, "runtimes", name);

/** What the serving process is told of them. */
export function toSidecarConfigs(runtimes: RuntimesConfig, root: string): SidecarConfig[] {
  return Object.entries(runtimes).map(
    ([name, { kind: _kind, slots: _slots, loadTimeoutMs: _load, repository, ...rest }]) => {
      const folder = toSidecarFolder(root, name);
      const below = repository === undefined ? join(folder, "repository") : repository;
      return { name, folder, repository: isAbsolute(below) ? below : join(root, below), ...rest };
    },
  );
}
