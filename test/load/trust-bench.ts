import { toReleaseTarget } from "@fairlead/artifacts/tuf";
import { inspectOnnxFile } from "@fairlead/inference/inspect";
import { mlpModel } from "@fairlead/inference/testing";
import { releaseSchema, type Release } from "@fairlead/protocol";
import { createHttpFetch, initializeTrust, openUpdater } from "@fairlead/updater";
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { forgetPeakRss, readPeakRssBytes, readRssBytes } from "../support/rss.ts";
import { TestTrust } from "../support/trust.ts";
import { toQuantile, type Row } from "./measure.ts";

const rounds = 30;

function toRelease(index: number): Release {
  const digest = `sha256:${randomBytes(32).toString("hex")}`;
  const tensor = { name: "x", elementType: "float32", shape: [1] };
  const build = { artifact: { digest, sizeBytes: 1 }, format: "onnx", precision: "fp32", quantization: "none" };
  const builds = [{ ...build, target: {}, inputs: [tensor], outputs: [tensor] }];
  return releaseSchema.parse({
    ...{ type: "release", v: 1, tenant: "default", releaseId: `rel-${String(index).padStart(26, "0")}` },
    ...{ issuedAtMs: 1_790_000_000_000, expiresAtMs: 1_890_000_000_000 },
    content: { model: "m", version: `1.0.${index}`, builds, selfTest: { golden: null, latencyP95Ms: null } },
  });
}

/** A device that follows its publisher: a new statement of freshness and a new document of 100 releases at each question. */
async function benchVerification(folder: string): Promise<Row> {
  const trust = new TestTrust();
  for (let index = 0; index < 100; index += 1) trust.add(toRelease(index));
  const server = createServer((request, response) => {
    void trust.serve().then((files) => {
      const text = files.get(decodeURIComponent((request.url ?? "").slice(1)));
      response.writeHead(text === undefined ? 404 : 200).end(text);
    });
  });
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  const metadataUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  await initializeTrust(folder, Buffer.from(await trust.firstRoot()));
  const times: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const release = toRelease(1_000 + round);
    trust.add(release);
    await trust.serve();
    const begunMs = performance.now();
    const updater = await openUpdater({ folder, metadataUrl, fetch: createHttpFetch(), nowMs: () => Date.now() });
    const { path, sha256 } = toReleaseTarget(release);
    const found = await updater.findTarget(path);
    await updater.close();
    if (found?.hashes["sha256"] !== sha256) throw new Error("the release was not found");
    times.push(performance.now() - begunMs);
  }
  server.closeAllConnections();
  server.close();
  const ms = toQuantile(times, 0.5);
  return {
    name: "a release verified on the device: five documents fetched, checked, kept",
    value: `${ms.toFixed(1)} ms`,
    against: `${toQuantile(times, 0.95).toFixed(1)} ms at the 95th percentile`,
    ratio: (ms / 250).toFixed(2),
    bound: "≤ 250 ms",
    held: ms <= 250,
  };
}

/** The check of a model before a runtime sees it: 100 MB of weights that are jumped over. */
async function benchStaticCheck(folder: string): Promise<Row> {
  const path = join(folder, "large.onnx");
  // 25 layers of 1,024 × 1,024 floats.
  const model = mlpModel({ widths: Array.from({ length: 26 }, () => 1_024) });
  writeFileSync(path, model);
  await inspectOnnxFile(path);
  const times: number[] = [];
  const beforeBytes = readRssBytes(process.pid);
  forgetPeakRss(process.pid);
  for (let round = 0; round < 10; round += 1) {
    const begunMs = performance.now();
    await inspectOnnxFile(path);
    times.push(performance.now() - begunMs);
  }
  const grownMb = (readPeakRssBytes(process.pid) - beforeBytes) / 1e6;
  const ms = Math.max(...times);
  return {
    name: `static check of a model of ${Math.round(model.length / 1e6)} MB`,
    value: `${ms.toFixed(1)} ms at worst, ${grownMb.toFixed(1)} MB more memory at its peak`,
    against: "the file's size",
    ratio: (ms / 300).toFixed(3),
    bound: "≤ 300 ms, ≤ 20 MB",
    held: ms <= 300 && grownMb <= 20,
  };
}

export async function benchTrust(): Promise<Row[]> {
  const folder = mkdtempSync(join(tmpdir(), "trust-bench-"));
  try {
    return [await benchVerification(join(folder, "trust")), await benchStaticCheck(folder)];
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
