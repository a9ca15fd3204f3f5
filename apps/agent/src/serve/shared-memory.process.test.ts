import { identityModel } from "@fairlead/inference/testing";
import { mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { SharedRegions } from "./shared-regions.ts";
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
    const keys = [
      "/sem.fairlead",
      "/../../etc/hostname",
      "a/b",
      "",
      "/",
      "..",
      `${object.key}.link`,
      `${object.key}.absent`,
      7,
      null,
    ];
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

/** Asks for the probabilities of one frame in the body, at a place in shared memory. */
function inferTo(harness: ServingHarness, outputs: readonly object[], frame = frames[0]) {
  const input = { name: "image", datatype: "FP32", shape: [1, 1, 8, 8], data: frame?.pixels };
  const body = JSON.stringify({
    inputs: [input],
    outputs: outputs.map((parameters) => ({ name: "probabilities", parameters })),
  });
  return harness.http({ path: "/v2/models/digit-reader/infer", body });
}
const outputBytes = 10 * 4;
const place = (offset: number, size = outputBytes, region = "results") => ({
  shared_memory_region: region,
  shared_memory_byte_size: size,
  shared_memory_offset: offset,
});
const toError = (answer: HttpAnswer) => JSON.stringify(json(answer));

describe("outputs in shared memory", { timeout: 30_000 }, () => {
  it("are the values that the answer would have, at their place and nowhere else", async () => {
    await using harness = await open();
    using object = new SharedObject(Buffer.alloc(256, 0xaa));
    await register(harness, "results", { key: object.key, offset: 16, byte_size: 200 });
    for (const frame of frames) {
      const answer = await inferTo(harness, [place(8, 60)], frame);
      expect(json(answer)).toMatchObject({
        outputs: [{ name: "probabilities", datatype: "FP32", shape: [1, 10], parameters: place(8) }],
      });
      const [output] = (json(answer) as { outputs: object[] }).outputs;
      expect(output).not.toHaveProperty("data");
      const plain = json(await infer(harness, {}, { data: frame.pixels })) as { outputs: { data: number[] }[] };
      const bytes = readFileSync(object.path);
      const values = new Float32Array(Uint8Array.from(bytes.subarray(24, 24 + outputBytes)).buffer);
      expect([...values]).toEqual(plain.outputs[0]?.data);
      const around = Buffer.concat([bytes.subarray(0, 24), bytes.subarray(24 + outputBytes)]);
      expect(around).toEqual(Buffer.alloc(256 - outputBytes, 0xaa));
    }
  });

  it("may lie where the input came from, which was read before the run", async () => {
    await using harness = await open();
    using object = new SharedObject(toBytes(frames[0]?.pixels ?? []));
    await register(harness, "frames", { key: object.key, offset: 0, byte_size: frameBytes });
    const expected = json(await infer(harness, inRegion(0))) as { outputs: { data: number[] }[] };
    const input = { name: "image", datatype: "FP32", shape: [1, 1, 8, 8], parameters: inRegion(0) };
    const outputs = [{ name: "probabilities", parameters: place(0, outputBytes, "frames") }];
    const body = JSON.stringify({ inputs: [input], outputs });
    expect((await harness.http({ path: "/v2/models/digit-reader/infer", body })).status).toBe(200);
    const values = new Float32Array(Uint8Array.from(readFileSync(object.path).subarray(0, outputBytes)).buffer);
    expect([...values]).toEqual(expected.outputs[0]?.data);
  });

  it("are refused in a region that is not there, too small, shared by two, cut off since or gone", async () => {
    await using harness = await open();
    using object = new SharedObject(Buffer.alloc(256, 0xaa));
    const region = { key: object.key, offset: 0, byte_size: 128 };
    await register(harness, "results", region);
    await register(harness, "again", { ...region, offset: 20 });
    for (const [outputs, reason] of [
      [[place(0, outputBytes, "none")], /Unable to find shared memory region/u],
      [[place(0, outputBytes - 4)], /the output has 40 bytes, its place in region 'results' has 36/u],
      [[place(100)], /has 128 bytes, asked were 100 \+ 40/u],
      [[place(2 ** 52)], /has 128 bytes/u],
      [[place(-4)], /no 'shared_memory_offset' that is a count/u],
      [[place(0, -1)], /no 'shared_memory_byte_size' that is a count/u],
      [[place(0, 2 ** 52)], /has 128 bytes/u],
      [[place(0), place(36)], /two outputs share bytes/u],
      [[place(40, outputBytes), place(16, outputBytes, "again")], /two outputs share bytes/u],
    ] as const) {
      const answer = await inferTo(harness, outputs);
      expect([answer.status, toError(answer)]).toEqual([400, expect.stringMatching(reason)]);
    }
    expect(readFileSync(object.path)).toEqual(Buffer.alloc(256, 0xaa));
    expect((await inferTo(harness, [place(0), place(40)])).status).toBe(200);
    truncateSync(object.path, 16);
    const short = await inferTo(harness, [place(0)]);
    expect([short.status, toError(short)]).toEqual([400, expect.stringContaining("smaller")]);
    expect(statSync(object.path).size).toBe(16);
    await harness.http({ path: `${root}/region/results/unregister`, method: "POST" });
    expect((await inferTo(harness, [place(0)])).status).toBe(400);
    expect((await infer(harness, {}, { data: frames[0]?.pixels })).status).toBe(200);
  });

  it("are looked at anew for a request that repeats the last one byte by byte", async () => {
    await using harness = await open();
    using object = new SharedObject(Buffer.alloc(64));
    const region = { key: object.key, offset: 0, byte_size: 64 };
    await register(harness, "results", region);
    const head = JSON.stringify({
      inputs: [{ name: "image", datatype: "FP32", shape: [1, 1, 8, 8], parameters: { binary_data_size: frameBytes } }],
      outputs: [{ name: "probabilities", parameters: place(0) }],
    });
    const repeat = () =>
      harness.http({
        path: "/v2/models/digit-reader/infer",
        headers: { "inference-header-content-length": String(head.length) },
        body: Buffer.concat([Buffer.from(head), toBytes(frames[0]?.pixels ?? [])]),
      });
    expect([(await repeat()).status, (await repeat()).status]).toEqual([200, 200]);
    await harness.http({ path: `${root}/region/results/unregister`, method: "POST" });
    expect((await repeat()).status).toBe(400);
    await register(harness, "results", region);
    expect((await repeat()).status).toBe(200);
  });

  it("are refused where strings would go, and everywhere unless the device allows shared memory", async () => {
    await using harness = await open();
    await harness.serve(harness.toLoad("t", identityModel("string"), { slot: "texts", model: "texts" }));
    const inputs = [{ name: "x", datatype: "BYTES", shape: [1], data: ["a"] }];
    const outputs = [{ name: "y", parameters: place(0) }];
    const texts = await harness.http({
      path: "/v2/models/texts/infer",
      body: JSON.stringify({ inputs, outputs }),
    });
    expect([texts.status, toError(texts)]).toEqual([400, expect.stringContaining("no strings in shared memory")]);
    await using closed = await open({});
    expect((await inferTo(closed, [place(0)])).status).toBe(403);
  });

  it("need an object that may be written: one that may only be read is for inputs", () => {
    // What the kernel writes there, root may not either.
    const shared = new SharedRegions({ allowed: true, folder: "/sys/devices/system/cpu" });
    shared.register("r", { key: "online", offset: 0, byte_size: 16 });
    const refused = expect.objectContaining({
      code: "request_invalid",
      message: expect.stringContaining("only be read"),
    });
    const range = { region: "r", offset: 0, byteSize: 16 };
    expect(() => shared.checkWritable([range])).toThrow(refused);
    expect(() => shared.write(range, new Uint8Array(1))).toThrow(refused);
    shared.unregister(null);
  });
});

describe("classes of an output", { timeout: 30_000 }, () => {
  it("are what Triton's clients ask for, with the labels of the release, as JSON and as binary data", async () => {
    await using harness = new ServingHarness();
    const labels = Array.from({ length: 10 }, (_, digit) => `digit ${digit}`);
    const classification = { output: "probabilities", labels };
    await harness.serve(harness.toLoad("a", digitModel("1.1.0-int8"), { classification }));
    expect(json(await harness.http({ path: "/v2" }))).toMatchObject({
      extensions: expect.arrayContaining(["classification"]),
    });
    const [frame] = frames;
    const plain = json(await infer(harness, {}, { data: frame?.pixels })) as { outputs: { data: number[] }[] };
    const [best = 0, second = 0] = (plain.outputs[0]?.data ?? []).toSorted((a, b) => b - a);
    const answer = json(await inferTo(harness, [{ classification: 2 }])) as { outputs: { data: string[] }[] };
    expect(answer.outputs[0]).toMatchObject({ datatype: "BYTES", shape: [1, 2] });
    const [first = "", next = ""] = answer.outputs[0]?.data ?? [];
    expect(first).toBe(`${best.toFixed(6)}:${frame?.label}:digit ${frame?.label}`);
    expect(Number(next.split(":")[0])).toBeCloseTo(second, 5);
    const binary = await inferTo(harness, [{ classification: 1, binary_data: true }]);
    const length = Number(binary.headers["inference-header-content-length"]);
    expect(binary.bytes.readUInt32LE(length)).toBe(first.length);
    expect(binary.bytes.toString("utf8", length + 4)).toBe(first);
  });

  it("are at most as many as there are, and a count that is none is refused", async () => {
    await using harness = new ServingHarness();
    await harness.serve(harness.toLoad("a", digitModel("1.1.0-int8")));
    for (const count of [11, 2 ** 31, Number.MAX_SAFE_INTEGER])
      expect(json(await inferTo(harness, [{ classification: count }]))).toMatchObject({
        outputs: [{ shape: [1, 10] }],
      });
    for (const count of [0, -1, 1.5, 2 ** 53, "2", null, {}])
      expect((await inferTo(harness, [{ classification: count }])).status).toBe(400);
    const often = await inferTo(
      harness,
      Array.from({ length: 257 }, () => ({ classification: 10 })),
    );
    expect(often.status).toBe(400);
  });
});
