import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildOnnxModel, type WrittenTensor, type WrittenValue } from "@fairlead/inference/testing";
import { silentLogger, type LogFields } from "@fairlead/kernel";
import { afterAll, expect, it } from "vitest";
import { servingEntry } from "../places.ts";
import { systemClock } from "../system-clock.ts";
import { ServingHost } from "./serving-host.ts";

const dir = mkdtempSync(join(tmpdir(), "fairlead-host-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));
const weights = 40;

/** Weights that are inputs too: the runtime warns about each of them. */
function chattyModel(): Uint8Array {
  const names = Array.from({ length: weights }, (_, index) => `weight${index}`);
  const edge = (name: string): WrittenValue => ({ name, type: "float32", shape: [4] });
  const toWeight = (name: string): WrittenTensor => ({ name, type: "float32", dims: [4], data: new Float32Array(4) });
  return buildOnnxModel({
    graph: {
      nodes: names.map((name, index) => ({
        op: "Add",
        inputs: [index === 0 ? "x" : `h${index}`, name],
        outputs: [index + 1 === weights ? "y" : `h${index + 1}`],
      })),
      initializers: names.map(toWeight),
      inputs: [edge("x"), ...names.map(edge)],
      outputs: [edge("y")],
    },
  });
}

it("says once what the runtime says of every weight of a model, with the count", async () => {
  const path = join(dir, "model.onnx");
  const bytes = chattyModel();
  writeFileSync(path, bytes);
  const said: LogFields[] = [];
  const { promise: ready, resolve } = Promise.withResolvers<void>();
  const host = new ServingHost({
    entry: servingEntry,
    config: { address: { kind: "tcp", host: "127.0.0.1", port: 0 }, inflightPath: join(dir, "inflight") },
    readInflight: () => [],
    clock: systemClock,
    logger: { ...silentLogger, warn: (_message, fields = {}) => void said.push(fields) },
    random: () => 0.5,
    onReady: () => resolve(),
    onExit: () => undefined,
  });
  await host.start();
  await ready;
  const digest = `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
  const identity = { loadId: "a", slot: "s", model: "chatty", version: "1.0.0" };
  const file = { path, digest, sizeBytes: bytes.length };
  await host.request({ kind: "load", ...identity, ...file, classification: null, threads: 1, deadlineMs: 5_000 });
  await host.stop();
  // What a process wrote is read to its end, which may come after its exit.
  const about = () => said.filter(({ source }) => typeof source === "string" && source.startsWith("graph.cc"));
  const reason: unknown = expect.stringContaining("appears in graph inputs");
  await expect.poll(about).toEqual([expect.objectContaining({ reason, times: weights })]);
}, 20_000);

it("makes a few lines of a process that writes 100,000 different ones, and counts them all", async () => {
  const said: LogFields[] = [];
  const { promise: ready, resolve } = Promise.withResolvers<void>();
  const host = new ServingHost({
    entry: new URL("./testing/flooding-process.ts", import.meta.url),
    config: { address: { kind: "tcp", host: "127.0.0.1", port: 0 }, inflightPath: join(dir, "inflight") },
    readInflight: () => [],
    clock: systemClock,
    logger: { ...silentLogger, warn: (_message, fields = {}) => void said.push(fields) },
    random: () => 0.5,
    onReady: () => resolve(),
    onExit: () => undefined,
  });
  await host.start();
  await ready;
  function count(): number {
    return said.reduce((sum, { times = 1 }) => sum + Number(times), 0);
  }
  await host.stop();
  await expect.poll(count).toBe(100_000);
  expect(said.length).toBeLessThanOrEqual(65);
}, 20_000);
