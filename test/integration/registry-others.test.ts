import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { Agent, request as httpsRequest } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { limitModel } from "@fairlead/inference/testing";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { TestPlane } from "../support/plane.ts";

const dir = mkdtempSync(join(tmpdir(), "others-"));
const plane = new TestPlane({ dir });
let agent: Agent;
beforeAll(async () => {
  await plane.start();
  agent = new Agent({ ca: readFileSync(join(dir, "data", "ca.pem"), "utf8"), keepAlive: true });
}, 60_000);
afterAll(async () => {
  agent.destroy();
  await plane[Symbol.asyncDispose]();
  rmSync(dir, { recursive: true, force: true });
});

interface Ask {
  readonly method?: string;
  readonly body?: Uint8Array;
  /** The last byte of the body has left. */
  readonly onSent?: () => void;
}
function call(path: string, { method = "GET", body, onSent }: Ask = {}): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const headers = {
      authorization: `Bearer ${plane.token}`,
      ...(body === undefined ? {} : { "content-length": String(body.length) }),
    };
    const sent = httpsRequest(`${plane.url}/api/v1/${path}`, { method, agent, headers }, (answer) => {
      const chunks: Buffer[] = [];
      answer.on("data", (chunk: Buffer) => chunks.push(chunk));
      answer.on("end", () => resolve({ status: answer.statusCode ?? 0, text: Buffer.concat(chunks).toString() }));
    });
    sent.on("finish", () => onSent?.());
    sent.on("error", reject);
    sent.end(body);
  });
}

const toDigest = (bytes: Uint8Array) => `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
const put = (kind: string, body: Uint8Array, onSent?: () => void) =>
  call(`artifacts/${toDigest(body)}?kind=${kind}`, {
    method: "PUT",
    body,
    ...(onSent === undefined ? {} : { onSent }),
  });

/** Asks one thing after the other until told to stop: how long each took. */
function askOn(): { readonly stop: () => Promise<readonly number[]> } {
  let isDone = false;
  const asking = (async () => {
    const tookMs: number[] = [];
    do {
      const begunMs = performance.now();
      expect((await call("models")).status).toBe(200);
      tookMs.push(performance.now() - begunMs);
    } while (!isDone);
    return tookMs;
  })();
  return {
    stop: () => {
      isDone = true;
      return asking;
    },
  };
}

const toNumbers = (count: number) => Array.from({ length: count }, (_, index) => index / 3);
const tensor = { datatype: "FP64", shape: [500_000], data: toNumbers(500_000) };
const golden = Buffer.from(
  JSON.stringify({
    v: 1,
    cases: [{ name: "a", inputs: { x: tensor }, outputs: {}, toleranceAbs: 0, toleranceRel: 0 }],
  }),
);

describe("a stranger's file", () => {
  test.each<[string, string, Uint8Array, number]>([
    ["A21 a model at every limit at once", "onnx", limitModel(), 200],
    ["a golden set of ten megabytes", "golden", golden, 50],
  ])(
    "%s: nobody else waits while it is looked into",
    async (...row) => {
      const [, kind, bytes, leastMs] = row;
      // The first one opens the thread.
      expect((await put(kind, bytes)).status).toBeLessThan(300);
      // Other bytes of the same kind, so that they are not known yet.
      const again = Buffer.concat([bytes, Buffer.from(kind === "onnx" ? [0x32, 0] : " ")]);
      let sentMs = 0;
      let busy: ReturnType<typeof askOn> | undefined;
      const answer = await put(kind, again, () => {
        sentMs = performance.now();
        busy = askOn();
      });
      const checkedMs = performance.now() - sentMs;
      const tookMs = (await busy?.stop()) ?? [];
      expect(answer.status).toBeLessThan(300);
      // Otherwise the test would say nothing: the check took its time, and others asked meanwhile.
      expect(checkedMs).toBeGreaterThan(leastMs);
      expect(tookMs.length).toBeGreaterThan(5);
      // Relative, since a machine that is busy makes everybody wait; how much of the plane's own thread a check takes is
      // measured beside the threads. On that thread one of these would have waited for all of it.
      expect(Math.max(...tookMs)).toBeLessThan(Math.max(100, checkedMs / 2));
    },
    60_000,
  );
});
