import { createServer, type AddressInfo } from "node:net";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { RolloutStatus } from "@fairlead/protocol";
import { Aedes } from "aedes";
import { connectAsync } from "mqtt";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runCliJson } from "../support/cli.ts";
import { createEnrolmentToken, TestDevice } from "../support/device.ts";
import { loadDigits } from "../support/digits.ts";
import { eventually } from "../support/eventually.ts";
import { TestPlane } from "../support/plane.ts";
import { publishDigitReader } from "../support/publish.ts";

const dir = mkdtempSync(join(tmpdir(), "fairlead-folder-"));
const plane = new TestPlane({ dir: join(dir, "plane") });
const device = new TestDevice({ name: "batch-1", dir: join(dir, "batch-1"), labels: {}, telemetryWindowMs: 500 });
const folder = join(dir, "work");
const digits = loadDigits("test").slice(0, 400);

function put(name: string, content: Uint8Array | string): void {
  writeFileSync(join(folder, `${name}.part`), content);
  renameSync(join(folder, `${name}.part`), join(folder, "in", name));
}
const list = (part: string) => readdirSync(join(folder, part)).filter((name) => !name.endsWith(".part"));
const toBytes = (pixels: ArrayLike<number>) => Buffer.from(Float32Array.from(pixels).buffer);

/** A broker of the device itself, as cameras use. */
class LocalBroker {
  readonly #server = createServer((socket) => void this.#aedes?.handle(socket));
  #aedes: Aedes | undefined;

  async listen(): Promise<number> {
    this.#aedes = await Aedes.createBroker();
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    return this.port;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  close(): void {
    this.#aedes?.close();
    this.#server.close();
  }
}
const local = new LocalBroker();

beforeAll(async () => {
  mkdirSync(join(folder, "in"), { recursive: true });
  await plane.start();
  await device.enrol(plane, await createEnrolmentToken(plane, 1));
  const job = `{ name: digits, model: digit-reader, folder: ${JSON.stringify(folder)}, parallel: 2 }`;
  const broker = `mqtt://127.0.0.1:${await local.listen()}`;
  const pipeline = `{ name: camera, model: digit-reader, broker: "${broker}", input: camera/in, output: camera/out }`;
  writeFileSync(
    join(device.dataDir, "config.yaml"),
    `batch: [${job}]\npipelines: [${pipeline}]\nslots: { reader: { maxBatchSize: 8, priority: realtime } }\n`,
  );
  for (const [index, { pixels }] of digits.entries()) put(`${String(index).padStart(4, "0")}.f32`, toBytes(pixels));
  put("broken.json", "{");
  put("short.f32", Buffer.alloc(5));
  put("wrong.json", JSON.stringify({ inputs: [{ name: "image", datatype: "FP32", shape: [1], data: [1] }] }));
  device.run();
  await eventually("the device is online", async () => (await plane.device(device.name)).online);
});
afterAll(async () => {
  await device[Symbol.asyncDispose]();
  local.close();
  await plane[Symbol.asyncDispose]();
  rmSync(dir, { recursive: true, force: true });
});

describe("a batch job over a folder", () => {
  it("waits for its model, answers each file once through a kill, and puts what cannot be answered aside", async () => {
    expect(list("in")).toHaveLength(digits.length + 3);
    await publishDigitReader(plane, "1.1.0");
    const target = ["--model", "digit-reader", "--version", "1.1.0", "--slot", "reader", "--all-devices"];
    const policy = ["--stages", "all=100%", "--soak", "0s", "--device-soak", "0s"];
    await runCliJson<RolloutStatus>(["rollouts", "create", ...target, ...policy], plane.cliEnv);
    await eventually("some files are answered", () => list("out").length > 50, 60_000);
    const early = list("out")[0] ?? "";
    const before = readFileSync(join(folder, "out", early), "utf8");
    await device.process.kill("SIGKILL");
    device.run();
    await eventually("every file is dealt with", () => list("in").length === 0, 60_000);
    expect(list("out")).toHaveLength(digits.length);
    expect(readFileSync(join(folder, "out", early), "utf8")).toBe(before);
    expect(list("failed")).toEqual([
      ...["broken.json", "broken.json.reason.txt", "short.f32", "short.f32.reason.txt"],
      ...["wrong.json", "wrong.json.reason.txt"],
    ]);
    expect(readFileSync(join(folder, "failed", "wrong.json.reason.txt"), "utf8")).toContain("unexpected shape");
    const right = digits.filter(({ label }, index) => {
      const text = readFileSync(join(folder, "out", `${String(index).padStart(4, "0")}.f32.json`), "utf8");
      const { outputs } = JSON.parse(text) as { outputs: { data: number[] }[] };
      const scores = outputs[0]?.data ?? [];
      return scores.indexOf(Math.max(...scores)) === label;
    });
    expect(right.length / digits.length).toBeGreaterThan(0.95);
  }, 150_000);
});

describe("a pipeline of a local broker", () => {
  it("answers pixels and requests from one topic on another, and says what cannot be answered", async () => {
    const client = await connectAsync(`mqtt://127.0.0.1:${local.port}`);
    const heard: { outputs?: { data: number[] }[]; error?: string }[] = [];
    client.on(
      "message",
      (_topic, payload) => void heard.push(JSON.parse(payload.toString()) as (typeof heard)[number]),
    );
    await client.subscribeAsync("camera/out", { qos: 1 });
    const [digit] = digits;
    const data = [...(digit?.pixels ?? [])];
    const request = { inputs: [{ name: "image", datatype: "FP32", shape: [1, 1, 8, 8], data }] };
    for (const payload of [toBytes(data), Buffer.from(JSON.stringify(request)), Buffer.from("junk")])
      await client.publishAsync("camera/in", payload, { qos: 1 });
    await eventually("three answers", () => heard.length === 3);
    await client.endAsync();
    const read = heard.slice(0, 2).map(({ outputs }) => outputs?.[0]?.data ?? []);
    expect(read.map((scores) => scores.indexOf(Math.max(...scores)))).toEqual([digit?.label, digit?.label]);
    expect(heard[2]?.error).toContain("it has 4 bytes");
  }, 60_000);
});
