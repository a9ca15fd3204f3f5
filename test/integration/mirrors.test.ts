import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { AuditEntry, RolloutStatus } from "@fairlead/protocol";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runCliJson } from "../support/cli.ts";
import { createEnrolmentToken, TestDevice } from "../support/device.ts";
import { digitModelPath } from "../support/digits.ts";
import { eventually } from "../support/eventually.ts";
import { TestMirror, toFileHandler, type MirrorHandler } from "../support/mirror.ts";
import { TestPlane } from "../support/plane.ts";
import { digitFiles, publishDigitReader, type DigitVersion } from "../support/publish.ts";

const dir = mkdtempSync(join(tmpdir(), "fairlead-mirrors-"));
const plane = new TestPlane({ dir: join(dir, "plane") });
const versions = ["1.0.0", "1.1.0"] as const;

/** What a mirror of the site holds, by digest: the files that the versions are made of. */
const held = new Map<string, Buffer>(
  versions
    .flatMap((version) => [digitFiles[version], `golden-${version}.json`])
    .map((file) => {
      const bytes = readFileSync(digitModelPath(file));
      return [`sha256:${createHash("sha256").update(bytes).digest("hex")}`, bytes] as const;
    }),
);
const honest = toFileHandler("/models/", (digest) => held.get(digest));
/** The signed length, and other bytes. */
const lying = toFileHandler("/models/", (digest) => {
  const bytes = held.get(digest);
  return bytes === undefined ? undefined : Buffer.alloc(bytes.length, 7);
});
const endless: MirrorHandler = (_request, response) => {
  response.writeHead(200);
  const more = (): void => void (response.destroyed || response.write(Buffer.alloc(65_536), () => setImmediate(more)));
  more();
};
const dripping: MirrorHandler = (_request, response) => {
  response.writeHead(200);
  const timer = setInterval(() => response.write("x"), 100);
  response.on("close", () => clearInterval(timer));
};

beforeAll(async () => {
  await plane.start();
  for (const version of versions) await publishDigitReader(plane, version);
}, 120_000);
afterAll(async () => {
  await plane[Symbol.asyncDispose]();
  rmSync(dir, { recursive: true, force: true });
});

/** A device of a site with these mirrors, the preferred one first, that is not asked for anything yet. */
async function startDevice(name: string, mirrors: readonly object[]): Promise<TestDevice> {
  const device = new TestDevice({ name, dir: join(dir, name), labels: { site: name }, telemetryWindowMs: 500 });
  await device.enrol(plane, await createEnrolmentToken(plane, 1));
  mkdirSync(device.dataDir, { recursive: true });
  writeFileSync(join(device.dataDir, "config.yaml"), JSON.stringify({ mirrors }));
  return device.run();
}

/** Has the device run the version, and waits until the device says that it does. */
async function rollOut(device: TestDevice, version: DigitVersion): Promise<void> {
  await runCliJson<RolloutStatus>(
    [
      ...["rollouts", "create", "--model", "digit-reader", "--version", version, "--slot", "reader"],
      ...["--selector", `site=${device.name}`, "--stages", "all=100%", "--soak", "0", "--device-soak", "0"],
    ],
    plane.cliEnv,
  );
  await eventually(
    `${device.name} serves ${version}`,
    async () => {
      const slot = (await plane.device(device.name)).reported?.slots.find(({ slot: name }) => name === "reader");
      return slot?.active?.version === version && slot.serving;
    },
    60_000,
  ).catch((error: unknown) => {
    throw new Error(device.process.output.slice(-4_000), { cause: error });
  });
}

/** What the audit log says of mirrors of this device, the oldest first: `[mirror, code]`. */
async function readBlamed(device: string): Promise<readonly (readonly [unknown, unknown])[]> {
  const { items } = await plane.get<{ items: AuditEntry[] }>(`/api/v1/audit?subject=${device}&limit=200`);
  const entries = items.filter(({ action }) => action === "device.mirror-set-aside");
  for (const entry of entries) expect(entry.actor).toBe(`device:${device}`);
  return entries.toReversed().map(({ details }) => [details["mirror"], details["code"]]);
}

/** Where the agent says that it took artifacts from. */
const readSources = (device: TestDevice): string[] =>
  [...device.process.output.matchAll(/"message":"an artifact was fetched"[^\n]*"source":"([^"]+)"/gu)].map(
    ([, source]) => source ?? "",
  );

describe("an agent whose site has mirrors", () => {
  it("takes models from the one that tells the truth, names each that does not, and takes them from the plane when none is left", async () => {
    const folder = join(dir, "site-a");
    await using dead = await TestMirror.start(folder, "dead", honest);
    await using liar = await TestMirror.start(folder, "liar", lying);
    await using good = await TestMirror.start(folder, "good", honest);
    await dead.stop();
    await using device = await startDevice(
      "site-a",
      [dead, liar, good].map((mirror) => mirror.toConfig()),
    );
    await rollOut(device, "1.0.0");
    // The model and its golden inputs; the liar was asked for the first of them alone.
    expect([liar, good].map(({ requests }) => requests.length)).toEqual([1, 2]);
    expect(good.requests.map(({ path }) => path.replace("/models/", "")).sort()).toEqual(
      [...held.keys()].slice(0, 2).sort(),
    );
    for (const { showedCertificate, authorization } of [...liar.requests, ...good.requests])
      expect({ showedCertificate, authorization }).toEqual({ showedCertificate: false, authorization: undefined });
    expect(readSources(device)).toEqual([good.origin, good.origin]);
    const blamed = await eventually("the plane knows whom it refused", async () => {
      const entries = await readBlamed(device.name);
      return entries.length >= 2 && entries;
    });
    expect(blamed).toEqual([
      [dead.origin, "download_unreachable"],
      [liar.origin, "digest_mismatch"],
    ]);

    await good.stop();
    await rollOut(device, "1.1.0");
    expect(readSources(device).slice(2)).toEqual([plane.url, plane.url]);
    await eventually("the one that went away is named too", async () =>
      (await readBlamed(device.name)).some(
        ([mirror, code]) => mirror === good.origin && code === "download_unreachable",
      ),
    );
  }, 150_000);

  it("A7 leaves one that never ends and one that drips, and one whose certificate is not of the authority that was named", async () => {
    const folder = join(dir, "site-b");
    await using foreign = await TestMirror.start(folder, "foreign", honest);
    await using flood = await TestMirror.start(folder, "flood", endless);
    await using slow = await TestMirror.start(folder, "slow", dripping);
    const mirrors = [{ ...foreign.toConfig(), ca: flood.caFile }, flood.toConfig(), slow.toConfig()];
    await using device = await startDevice("site-b", mirrors);
    await rollOut(device, "1.0.0");
    expect([foreign, flood, slow].map(({ requests }) => requests.length)).toEqual([0, 1, 1]);
    expect(readSources(device)).toEqual([plane.url, plane.url]);
    const blamed = await eventually("the plane knows all three", async () => {
      const entries = await readBlamed(device.name);
      return entries.length >= 3 && entries;
    });
    expect(blamed).toEqual([
      [foreign.origin, "download_unreachable"],
      [flood.origin, "length_mismatch"],
      [slow.origin, "download_stalled"],
    ]);
  }, 150_000);
});
