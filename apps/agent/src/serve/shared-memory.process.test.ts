import { mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { digitModel, json as toJson, readDigits, ServingHarness, type HttpAnswer } from "./testing/serving-harness.ts";

const json = ({ bytes }: HttpAnswer): unknown => toJson(bytes);
const root = "/v2/systemsharedmemory";
const frames = readDigits().slice(0, 2);
const frameBytes = 64 * 4;
const toBytes = (pixels: readonly number[]): Buffer => Buffer.from(Float32Array.from(pixels).buffer);

/** An object in the system's shared memory that this test alone uses. */
class SharedObject implements Disposable {
  // A folder of that name takes the name, so that two runs of this test do not meet.
  readonly #taken = mkdtempSync("/dev/shm/fairlead-test-");
  readonly path = `${this.#taken}.frame`;
  readonly key = this.path.slice("/dev/shm".length);

  constructor(bytes: Uint8Array) {
    writeFileSync(this.path, bytes, { mode: 0o600 });
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { force: true });
    rmSync(this.#taken, { recursive: true });
  }
}

async function open(config: { readonly sharedMemory?: boolean } = { sharedMemory: true }): Promise<ServingHarness> {
  const harness = new ServingHarness(config);
  await harness.serve(harness.toLoad("a", digitModel("1.1.0-int8")));
  return harness;
}

const register = (harness: ServingHarness, name: string, document: object) =>
  harness.http({ path: `${root}/region/${name}/register`, body: JSON.stringify(document) });

function infer(harness: ServingHarness, parameters: object, data: object = {}) {
  const input = { name: "image", datatype: "FP32", shape: [1, 1, 8, 8], parameters, ...data };
  return harness.http({ path: "/v2/models/digit-reader/infer", body: JSON.stringify({ inputs: [input] }) });
}

const inRegion = (offset: number) => ({
  shared_memory_region: "frames",
  shared_memory_byte_size: frameBytes,
  shared_memory_offset: offset,
});

describe("shared memory", { timeout: 30_000 }, () => {
  it("gives the answers that the same tensors give in the body, also after the client wrote the next frame", async () => {
    await using harness = await open();
    using object = new SharedObject(Buffer.concat(frames.map(({ pixels }) => toBytes(pixels))));
    const region = { key: object.key, offset: 0, byte_size: 2 * frameBytes };
    expect((await register(harness, "frames", region)).status).toBe(200);
    const shared = [];
    for (const index of [0, 1]) shared.push(json(await infer(harness, inRegion(index * frameBytes))));
    const inBody = [];
    for (const { pixels } of frames) inBody.push(json(await infer(harness, {}, { data: pixels })));
    expect(shared).toEqual(inBody);
    expect(shared[0]).not.toEqual(shared[1]);
    writeFileSync(object.path, Buffer.concat(frames.toReversed().map(({ pixels }) => toBytes(pixels))));
    expect(json(await infer(harness, inRegion(0)))).toEqual(inBody[1]);
  });

  it("lists regions, refuses a name twice and forgets what is unregistered", async () => {
    await using harness = await open();
    using object = new SharedObject(Buffer.alloc(4_096));
    const region = { key: object.key, offset: 256, byte_size: 1_024 };
    expect((await register(harness, "frames", region)).status).toBe(200);
    expect((await register(harness, "frames", region)).status).toBe(400);
    expect(json(await harness.http({ path: `${root}/status` }))).toEqual([{ name: "frames", ...region }]);
    expect(json(await harness.http({ path: `${root}/region/frames/status` }))).toEqual([{ name: "frames", ...region }]);
    expect(json(await harness.http({ path: "/v2" }))).toMatchObject({
      extensions: expect.arrayContaining(["system_shared_memory"]),
    });
    expect((await harness.http({ path: `${root}/region/frames/unregister`, method: "POST" })).status).toBe(200);
    expect((await harness.http({ path: `${root}/unregister`, method: "POST" })).status).toBe(200);
    expect((await harness.http({ path: `${root}/region/frames/status` })).status).toBe(400);
    expect((await infer(harness, inRegion(0))).status).toBe(400);
  });

  it("refuses everything unless the device's configuration allows it", async () => {
    await using harness = await open({});
    using object = new SharedObject(Buffer.alloc(frameBytes));
    const refused = [
      await register(harness, "frames", { key: object.key, offset: 0, byte_size: frameBytes }),
      await harness.http({ path: `${root}/status` }),
      await harness.http({ path: `${root}/unregister`, method: "POST" }),
      await infer(harness, inRegion(0)),
    ];
    expect(refused.map(({ status }) => status)).toEqual([403, 403, 403, 403]);
    expect(JSON.stringify(json(refused[0]!))).toContain("inference.sharedMemory");
    expect(JSON.stringify(json(await harness.http({ path: "/v2" })))).not.toContain("shared_memory");
  });

  it("reads no path, no link, no folder and no byte outside the object", async () => {
    await using harness = await open();
    using object = new SharedObject(Buffer.alloc(frameBytes));
    const link = `${object.path}.link`;
    symlinkSync("/etc/hostname", link);
    const keys = ["/../../etc/hostname", "a/b", "", "/", "..", `${object.key}.link`, `${object.key}.absent`, 7, null];
    const statuses = [];
    for (const key of [...keys, object.key.replace(".frame", "")])
      statuses.push((await register(harness, "frames", { key, offset: 0, byte_size: 1 })).status);
    rmSync(link);
    expect(new Set(statuses)).toEqual(new Set([400]));
    for (const [offset, size] of [
      [0, frameBytes + 1],
      [frameBytes, 1],
      [-1, 1],
      [0, 0],
      [0.5, 1],
      [0, 2 ** 60],
    ])
      expect((await register(harness, "frames", { key: object.key, offset, byte_size: size })).status).toBe(400);
    expect((await register(harness, "frames", { key: object.key, offset: 0, byte_size: frameBytes })).status).toBe(200);
    for (const wrong of [{ shared_memory_offset: 1 }, { shared_memory_byte_size: 8 }, { shared_memory_offset: -4 }])
      expect((await infer(harness, { ...inRegion(0), ...wrong })).status).toBe(400);
    expect((await infer(harness, inRegion(0), { data: frames[0]?.pixels })).status).toBe(400);
    truncateSync(object.path, 16);
    const short = await infer(harness, inRegion(0));
    expect([short.status, JSON.stringify(json(short))]).toEqual([400, expect.stringContaining("smaller")]);
    expect((await infer(harness, {}, { data: frames[0]?.pixels })).status).toBe(200);
  });

  it("has room for 64 regions", async () => {
    await using harness = await open();
    using object = new SharedObject(Buffer.alloc(16));
    const statuses = [];
    for (let index = 0; index < 65; index += 1)
      statuses.push((await register(harness, `r${index}`, { key: object.key, offset: 0, byte_size: 16 })).status);
    expect(statuses.filter((status) => status === 200)).toHaveLength(64);
    expect(statuses.at(-1)).toBe(400);
  });
});
