import { createHash } from "node:crypto";
import { chmodSync, mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { foldMeasurements, verifyChain, type ChainHead } from "@fairlead/integrity";
import { silentLogger } from "@fairlead/kernel";
import { evidenceSchema, type EventData, type Evidence } from "@fairlead/protocol";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { listAgentFiles } from "./agent-files.ts";
import { createIntegrityService } from "./integrity-service.ts";
import type { EvidenceOutcome, ModelFile } from "./ports.ts";

const toDigest = (text: string) => `sha256:${createHash("sha256").update(text).digest("hex")}`;

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "fairlead-integrity-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** One device with real files; `boot` is a new process on the same disk. */
function createDevice() {
  const model = join(folder, "model.onnx");
  const config = join(folder, "config.yaml");
  mkdirSync(join(folder, "src"));
  writeFileSync(join(folder, "src", "main.ts"), "run()");
  writeFileSync(model, "good model");
  writeFileSync(config, "logLevel: info");
  const world = {
    model,
    config,
    models: [{ slot: "reader", path: model, digest: toDigest("good model") }] as ModelFile[],
    links: [] as Evidence[],
    said: [] as string[],
    outcome: (): EvidenceOutcome => ({ kind: "stored" }),
    // Far enough from the files' own times that their stamps can be trusted.
    nowMs: Date.now() + 60_000,
    write: (text: string, minute = 1) => {
      writeFileSync(model, text);
      utimesSync(model, 1_700_000_000, 1_700_000_000 + minute * 60);
    },
    boot: () =>
      createIntegrityService({
        clock: { nowMs: () => world.nowMs, monotonicMs: () => world.nowMs },
        logger: silentLogger,
        files: {
          agent: () => listAgentFiles({ folder: join(folder, "src"), prefix: "agent/src" }),
          models: () => world.models,
          configuration: async () => [{ kind: "configuration", name: "config.yaml", path: config, optional: true }],
        },
        outbox: {
          append: (_, { evidence }) => {
            const outcome = world.outcome();
            if (outcome.kind === "stored") world.links.push(evidenceSchema.parse(evidence));
            return outcome;
          },
        },
        stateFile: join(folder, "chain.json"),
        emit: (data: EventData) => world.said.push(data.kind),
        onModelMismatch: (slot, digest) => world.said.push(`mismatch ${slot} ${digest === toDigest("good model")}`),
        onModelRestored: (slot) => world.said.push(`restored ${slot}`),
      }),
  };
  return world;
}

/** What the plane makes of all links: each must be accepted or be a replay. */
function accept(links: readonly Evidence[]) {
  let last: ChainHead | null = null;
  let known: ReturnType<typeof foldMeasurements> = null;
  const verdicts: string[] = [];
  for (const link of links) {
    const verdict = verifyChain(last, link);
    verdicts.push(verdict.kind);
    if (verdict.kind === "next") {
      last = link;
      known = foldMeasurements(known, link);
    }
  }
  return { verdicts, known };
}

describe("the measurement at start", () => {
  it("is full and names agent, model and configuration", async () => {
    const device = createDevice();
    await device.boot().check();
    expect(device.links).toHaveLength(1);
    expect(device.links[0]).toMatchObject({ index: 0, trigger: "start", full: true });
    expect(device.links[0]?.measurements.map(({ kind, name }) => `${kind} ${name}`)).toEqual([
      "model slot/reader",
      "configuration config.yaml",
      "agent agent/src/main.ts",
    ]);
    expect(device.links[0]?.measurements[0]).toMatchObject({ expected: toDigest("good model"), reason: null });
    expect(device.said).toEqual([]);
  });

  it("fails for an agent folder that cannot be listed or is too large, and leaves out an optional file", async () => {
    const device = createDevice();
    rmSync(join(folder, "src"), { recursive: true });
    rmSync(device.config);
    await device.boot().check();
    expect(device.links[0]?.measurements.filter(({ kind }) => kind !== "model")).toMatchObject([
      { kind: "agent", actual: null, reason: expect.stringContaining("ENOENT") as string },
    ]);
    mkdirSync(join(folder, "many"));
    for (const name of ["a.ts", "b.ts", "c.test.ts", "d.md"]) writeFileSync(join(folder, "many", name), name);
    const tree = { folder: join(folder, "many"), prefix: "agent/src" };
    expect((await listAgentFiles(tree)).map(({ name }) => name)).toEqual(["agent/src/a.ts", "agent/src/b.ts"]);
    await expect(listAgentFiles({ ...tree, maxFiles: 1 })).rejects.toThrow("more than 1 files");
  });
});

describe("a model file", () => {
  it.each([
    ["is overwritten", (device: ReturnType<typeof createDevice>) => device.write("evil model"), toDigest("evil model")],
    ["is deleted", (device: ReturnType<typeof createDevice>) => rmSync(device.model), null],
    [
      "is replaced by a rename with the same size and time",
      (device: ReturnType<typeof createDevice>) => {
        writeFileSync(join(folder, "other"), "evil model");
        utimesSync(join(folder, "other"), 1_700_000_000, 1_700_000_000);
        renameSync(join(folder, "other"), device.model);
      },
      toDigest("evil model"),
    ],
    [
      "is replaced by a link to the same bytes",
      (device: ReturnType<typeof createDevice>) => {
        renameSync(device.model, join(folder, "elsewhere"));
        symlinkSync(join(folder, "elsewhere"), device.model);
      },
      null,
    ],
  ])("that %s is told at once and is restored after a repair", async (_, attack, actual) => {
    const device = createDevice();
    utimesSync(device.model, 1_700_000_000, 1_700_000_000);
    const service = device.boot();
    await service.check();
    await service.check();
    expect(device.links).toHaveLength(1);
    attack(device);
    await service.check();
    expect(device.said).toEqual(["integrity-failed", "mismatch reader true"]);
    expect(device.links[1]).toMatchObject({ trigger: "changed", full: false });
    expect(device.links[1]?.measurements).toMatchObject([{ name: "slot/reader", actual }]);
    if (actual === null) expect(device.links[1]?.measurements[0]?.reason).toMatch(/absent|symbolic link/u);
    await service.check();
    expect(device.links).toHaveLength(2);
    rmSync(device.model, { force: true });
    device.write("good model", 2);
    await service.check();
    expect(device.said.slice(2)).toEqual(["integrity-restored", "restored reader"]);
    expect(device.links[2]).toMatchObject({ trigger: "changed" });
    expect(accept(device.links).verdicts).toEqual(["next", "next", "next"]);
  });

  it("that is only touched is read again and gives no link", async () => {
    const device = createDevice();
    const service = device.boot();
    await service.check();
    chmodSync(device.model, 0o600);
    device.write("good model", 3);
    await service.check();
    expect(device.links).toHaveLength(1);
  });

  it("of another build is a load, and an empty slot gives a full list without it", async () => {
    const device = createDevice();
    const service = device.boot();
    await service.check();
    writeFileSync(join(folder, "next.onnx"), "next model");
    device.models = [{ slot: "reader", path: join(folder, "next.onnx"), digest: toDigest("next model") }];
    await service.check();
    expect(device.links[1]).toMatchObject({ trigger: "load", full: false });
    device.models = [];
    await service.check();
    expect(device.links[2]).toMatchObject({ full: true });
    expect(accept(device.links).known?.some(({ kind }) => kind === "model")).toBe(false);
    expect(device.said).toEqual([]);
  });

  it("that another build replaces while it fails is restored for the plane but not called repaired", async () => {
    const device = createDevice();
    device.write("evil model");
    const service = device.boot();
    await service.check();
    writeFileSync(join(folder, "next.onnx"), "next model");
    device.models = [{ slot: "reader", path: join(folder, "next.onnx"), digest: toDigest("next model") }];
    await service.check();
    expect(device.said).toEqual(["integrity-failed", "mismatch reader true", "integrity-restored"]);
  });

  it("that still fails after a restart is handed on again without a second event", async () => {
    const device = createDevice();
    device.write("evil model");
    const first = device.boot();
    await first.check();
    await first.stop();
    const second = device.boot();
    await second.check();
    expect(device.said).toEqual(["integrity-failed", "mismatch reader true", "mismatch reader true"]);
    device.write("good model", 2);
    await second.check();
    expect(device.said.slice(3)).toEqual(["integrity-restored", "restored reader"]);
  });
});

describe("the chain", () => {
  it("of start, periods, a change of configuration and a command is one that the plane accepts", async () => {
    const device = createDevice();
    const service = device.boot();
    await service.check();
    for (let period = 0; period < 3; period += 1) {
      device.nowMs += 30_000;
      await service.check();
    }
    writeFileSync(device.config, "logLevel: debug");
    writeFileSync(join(folder, "src", "added.ts"), "evil()");
    device.nowMs += 30_000;
    await service.check();
    expect(await service.measureNow("command")).toMatchObject({ full: true, trigger: "command" });
    expect(device.links.map(({ trigger }) => trigger)).toEqual(["start", ...Array(4).fill("periodic"), "command"]);
    expect(device.links.map(({ measurements }) => measurements.length)).toEqual([3, 0, 0, 0, 2, 4]);
    expect(accept(device.links).verdicts).toEqual(Array(6).fill("next"));
  });

  it("goes on after a crash between the save and the outbox: the same link comes again", async () => {
    const device = createDevice();
    const service = device.boot();
    await service.check();
    device.outcome = () => {
      throw new Error("power cut");
    };
    expect(await service.measureNow("command")).toBeNull();
    expect(device.links).toHaveLength(1);
    device.outcome = () => ({ kind: "stored" });
    await device.boot().check();
    expect(device.links.map(({ index, trigger }) => `${index} ${trigger}`)).toEqual([
      "0 start",
      "1 command",
      "2 start",
    ]);
    expect(accept(device.links).verdicts).toEqual(["next", "next", "next"]);
  });

  it("repeats its last link after a crash, a replay for the plane, and not after a clean end", async () => {
    const device = createDevice();
    await device.boot().check();
    const second = device.boot();
    await second.check();
    await second.stop();
    await device.boot().check();
    expect(accept(device.links).verdicts).toEqual(["next", "replay", "next", "next"]);
  });

  it("waits while the outbox has no room and then tells everything", async () => {
    const device = createDevice();
    const service = device.boot();
    await service.check();
    device.outcome = () => ({ kind: "refused", code: "outbox_full", reason: "full" });
    device.write("evil model");
    await service.check();
    expect(device.said).toEqual(["integrity-failed", "mismatch reader true"]);
    device.outcome = () => ({ kind: "stored" });
    device.nowMs += 30_000;
    await service.check();
    const { verdicts, known } = accept(device.links);
    expect(verdicts).toEqual(["next", "next", "next"]);
    expect(known?.find(({ kind }) => kind === "model")?.actual).toBe(toDigest("evil model"));
  });

  it("leaves no hole for a link that the outbox will never take", async () => {
    const device = createDevice();
    const service = device.boot();
    await service.check();
    device.outcome = () => ({ kind: "refused", code: "item_too_large", reason: "too large" });
    expect(await service.measureNow("command")).toBeNull();
    device.outcome = () => ({ kind: "stored" });
    await service.measureNow("command");
    expect(accept(device.links).verdicts).toEqual(["next", "next"]);
  });

  it("gets no link after the end", async () => {
    const device = createDevice();
    const service = device.boot();
    await service.check();
    await service.stop();
    await expect(service.measureNow("command")).resolves.toBeNull();
  });
});
