import { readSidecarProcess } from "@fairlead/inference/sidecars";
import { CodedError, silentLogger } from "@fairlead/kernel";
import { createHash } from "node:crypto";
import { accessSync, constants, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, isAbsolute, join } from "node:path";
import type { AgentConfig } from "../config.ts";
import { servingEntry } from "../places.ts";
import { ServingHost } from "../serving/serving-host.ts";
import { systemClock } from "../system-clock.ts";

/** y = x + x over four numbers, as ONNX: what any accelerator can run. */
const smallestModel = Buffer.from(
  "CAgSEGZhaXJsZWFkLXRlc3Rpbmc6OQoOCgF4CgF4EgF5IgNBZGQSBWdyYXBoWg8KAXgSCgoICAESBAoCCARiDwoBeRIKCggIARIECgIIBEIECgAQEQ==",
  "base64",
);

const loadTimeoutMs = 60_000;

/** What is wanted of the runtime in the serving process, and by whom. */
function listWanted({ inference, slots }: Pick<AgentConfig, "inference" | "slots">): Map<string, string[]> {
  const wanted = new Map<string, string[]>();
  const note = (providers: readonly string[], who: string) => {
    for (const provider of providers) wanted.set(provider, [...(wanted.get(provider) ?? []), who]);
  };
  note(inference.providers, "the device");
  for (const [slot, { providers, require }] of Object.entries(slots))
    if (providers !== null) note(providers, `slot ${slot}${require ? " (required)" : ""}`);
  return wanted;
}

/**
 * Starts a serving process of its own and runs a model on each accelerator that is wanted: a runtime or a driver that takes
 * its process down is found out too. @returns one line per finding @throws CodedError `accelerator_missing` with all of them
 */
export async function checkRuntimes(config: Pick<AgentConfig, "inference" | "slots">): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), "fairlead-doctor-"));
  const ready = Promise.withResolvers<void>();
  const ended = Promise.withResolvers<never>();
  ended.promise.catch(() => undefined);
  const serving = new ServingHost({
    entry: servingEntry,
    config: {
      address: { kind: "tcp", host: "127.0.0.1", port: 0 },
      ...{ inflightPath: join(folder, "inflight"), profileFolder: join(folder, "profiles") },
    },
    readInflight: () => [],
    clock: systemClock,
    logger: silentLogger,
    random: Math.random,
    onReady: () => ready.resolve(),
    onExit: ({ exit }) => ended.reject(new Error(`the serving process ended (${exit})`)),
  });
  try {
    await serving.start();
    await Promise.race([ready.promise, ended.promise]);
    return await Promise.race([describe(serving, config, folder), ended.promise]);
  } finally {
    await serving.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function describe(
  serving: ServingHost,
  config: Pick<AgentConfig, "inference" | "slots">,
  folder: string,
): Promise<string> {
  const { providers } = await serving.request({ kind: "offers" });
  const lines = [`onnxruntime was built with ${providers.join(", ")}`];
  const path = join(folder, "smallest.onnx");
  writeFileSync(path, smallestModel, { mode: 0o600 });
  const digest = `sha256:${createHash("sha256").update(smallestModel).digest("hex")}`;
  let missing = false;
  for (const [provider, wantedBy] of listWanted(config)) {
    const who = `${provider}, wanted by ${wantedBy.join(" and ")}`;
    const found = await tryProvider(serving, provider, { path, digest, sizeBytes: smallestModel.length });
    missing ||= !found.there;
    lines.push(`${who}: ${found.reason}`);
  }
  const text = lines.join("\n      ");
  if (missing) throw new CodedError("accelerator_missing", text, { hint: "look at the accelerator's driver" });
  return text;
}

async function tryProvider(
  serving: ServingHost,
  provider: string,
  file: { readonly path: string; readonly digest: string; readonly sizeBytes: number },
): Promise<{ readonly there: boolean; readonly reason: string }> {
  const loadId = `doctor.${provider}`;
  try {
    const { placement } = await serving.request(
      {
        kind: "load",
        ...{ loadId, slot: loadId, model: "doctor", version: "1.0.0", ...file },
        ...{ classification: null, threads: 1, deadlineMs: 10_000, loadDeadlineMs: loadTimeoutMs },
        providers: [...new Set([provider, "cpu"])],
      },
      2 * loadTimeoutMs,
    );
    const there = (placement.shares?.[provider] ?? 0) > 0;
    return { there, reason: there ? `runs a model (${placement.proof})` : placement.proof };
  } catch (error) {
    return { there: false, reason: error instanceof Error ? error.message : String(error) };
  }
}

function isThere(program: string, path: string): boolean {
  const places = isAbsolute(program) ? [program] : path.split(delimiter).map((folder) => join(folder, program));
  return places.some((place) => {
    try {
      accessSync(place, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** The servers beside the serving process: whether their programs are there and which of them run now. */
export function checkSidecars({ runtimes }: Pick<AgentConfig, "runtimes">, root: string): string {
  const entries = Object.entries(runtimes);
  if (entries.length === 0) return "none is configured";
  let missing = false;
  const lines = entries.map(([name, { command, providers, slots, url }]) => {
    const [program = ""] = command;
    const what = `${name} at ${url} offers ${providers.join(", ")}${slots.length === 0 ? "" : `, for slot ${slots.join(", ")}`}`;
    const running = readSidecarProcess(join(root, "runtimes", name, "process.json"));
    if (running !== null) {
      const held =
        running.residentBytes === null ? "" : ` and holds ${Math.ceil(running.residentBytes / 1_048_576)} MiB`;
      return `${what}: runs as process ${running.pid}${held}`;
    }
    if (isThere(program, process.env["PATH"] ?? "")) return `${what}: does not run; it starts with its first load`;
    missing = true;
    return `${what}: there is no program ${program}`;
  });
  const text = lines.join("\n      ");
  if (missing) throw new CodedError("program_missing", text, { hint: "install the server or correct its command" });
  return text;
}
