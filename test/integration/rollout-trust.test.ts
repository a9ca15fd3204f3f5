import type { RolloutStatus, SignedDesiredState, SlotReport } from "@fairlead/protocol";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runWarmCli, runCliJson } from "../support/cli.ts";
import { eventually } from "../support/eventually.ts";
import { publishDigitReader } from "../support/publish.ts";
import { enrol, RawDevice, startPlane, type Harness } from "./plane-harness.ts";

/** A device that says what the test wants of each request: `succeeded`, or that it failed. */
class Answering {
  readonly device: RawDevice;
  fails = false;
  /** Stays silent about what it is asked. */
  silent = false;
  #revision = 0;

  constructor(device: RawDevice) {
    this.device = device;
    device.client.on("message", (topic) => void (topic.endsWith("/desired") && !this.silent && this.answer()));
  }

  async answer(): Promise<void> {
    const last = this.device.received.findLast(({ topic }) => topic.endsWith("/desired"))?.body;
    if (last === undefined) return;
    const { signed } = last as unknown as SignedDesiredState;
    const slots = signed.slots.map(({ slot, release, rolloutId, attempt }): SlotReport => {
      const content = release?.signed.content;
      const releaseId = release?.signed.releaseId ?? null;
      const build = content?.builds[0]?.artifact.digest ?? "";
      const active =
        content === undefined || releaseId === null || this.fails
          ? null
          : { releaseId, model: content.model, version: content.version, buildDigest: build };
      const state = this.fails ? "failed" : "succeeded";
      const job = { releaseId, rolloutId, attempt, state, code: this.fails ? "self_test_failed" : null } as const;
      return {
        ...{ slot, active, previous: null, serving: active !== null, notServingReason: null, placement: null },
        job: { ...job, reason: null, progressRatio: null, selfTest: { passed: !this.fails, latencyP95Us: 1 } },
      };
    });
    this.#revision += 1;
    const report = { v: 1, epoch: "epoch0001", revision: this.#revision, tsMs: Date.now(), refusal: null, slots };
    await this.device.send("reported", { ...report, generation: signed.generation, inferenceEndpoint: null });
  }
}

let harness: Harness;
let device: Answering;
const tokens = new Map<string, Record<string, string>>();
const cli = (...args: string[]) => runWarmCli(args, harness.plane.cliEnv);
const as = (name: string, ...args: string[]) => runWarmCli(args, tokens.get(name) ?? {});
const rollout = (version: string) => [
  ...["rollouts", "create", "--model", "digit-reader", "--version", version, "--slot", "reader"],
  ...["--selector", "site=test", "--stages", "all=100%", "--soak", "0", "--device-soak", "0"],
];
const create = async (version: string): Promise<string> =>
  (await runCliJson<RolloutStatus>(rollout(version), harness.plane.cliEnv)).rolloutId;
const reach = (id: string, state: string) =>
  eventually(
    `${id} is ${state}`,
    async () => {
      const found = await harness.plane.get<RolloutStatus>(`/api/v1/rollouts/${id}`);
      return found.state === state ? found : undefined;
    },
    30_000,
  );
const audited = async (action: string) =>
  (
    await harness.plane.get<{ items: { action: string; actor: string; details: Record<string, unknown> }[] }>(
      "/api/v1/audit?limit=1000",
    )
  ).items.filter((entry) => entry.action === action);

beforeAll(async () => {
  harness = await startPlane();
  for (const version of ["1.0.0", "1.1.0"] as const) await publishDigitReader(harness.plane, version);
  for (const [name, role] of [
    ["ann", "operator"],
    ["bob", "approver"],
    ["eve", "admin"],
  ] as const) {
    const made = await runCliJson<{ token: string }>(
      ["tokens", "create", "--role", role, "--person", name, "--description", name],
      harness.plane.cliEnv,
    );
    tokens.set(name, { ...harness.plane.cliEnv, FAIRLEAD_TOKEN: made.token });
  }
  device = new Answering(await RawDevice.connect(harness, await enrol(harness, "cam-1")));
  await device.device.birth();
}, 120_000);
afterAll(async () => {
  await device.device[Symbol.asyncDispose]();
  await harness[Symbol.asyncDispose]();
});

describe("a version that failed for cause", () => {
  it("A12 is neither rolled out nor gone back to before a second person has accepted that", async () => {
    await reach(await create("1.0.0"), "succeeded");
    // It runs well here, and then fails where it is rolled out anew: now everybody knows that it is bad.
    device.fails = true;
    const failed = await create("1.1.0");
    await reach(failed, "rollback_failed");
    device.fails = false;
    expect(await as("ann", ...rollout("1.1.0"))).toMatchObject({
      code: 5,
      stderr: expect.stringContaining("release_known_bad"),
    });
    expect(
      await as("ann", "releases", "accept-known-bad", "digit-reader", "1.1.0", "--reason", "x", "--yes"),
    ).toMatchObject({
      code: 4,
    });
    const accept = (who: string) =>
      as(who, "releases", "accept-known-bad", "digit-reader", "1.1.0", "--reason", "the lens was dirty", "--yes");
    // Who accepts it may approve, and still cannot roll it out alone.
    expect(await accept("eve")).toMatchObject({ code: 0 });
    expect(await as("eve", ...rollout("1.1.0"))).toMatchObject({
      code: 5,
      stderr: expect.stringContaining("cannot be the one who rolls it out"),
    });
    // Another token of hers is no other person.
    const spare = await runCliJson<{ token: string }>(["tokens", "create", "--role", "admin"], tokens.get("eve") ?? {});
    tokens.set("eve again", { ...harness.plane.cliEnv, FAIRLEAD_TOKEN: spare.token });
    expect(await as("eve again", ...rollout("1.1.0"))).toMatchObject({
      code: 5,
      stderr: expect.stringContaining("cannot be the one who rolls it out"),
    });
    expect(await accept("bob")).toMatchObject({ code: 0 });
    const again = await as("ann", ...rollout("1.1.0"), "-o", "json");
    expect(again).toMatchObject({ code: 0 });
    await reach((JSON.parse(again.stdout) as RolloutStatus).rolloutId, "succeeded");
    const entries = await audited("release.accept-known-bad");
    expect(entries.map(({ actor }) => actor.split(":")[0])).toEqual(["approver", "admin"]);
    // On to another version, and back by undo: that is the same downgrade.
    const next = await create("1.0.0");
    await reach(next, "succeeded");
    device.fails = true;
    await reach(await create("1.1.0"), "rollback_failed");
    device.fails = false;
    const undo = await as("ann", "rollouts", "undo", next, "--yes");
    expect(undo).toMatchObject({ code: 5, stderr: expect.stringContaining("release_known_bad") });
    expect(await reach(next, "succeeded")).toMatchObject({ state: "succeeded" });
    expect(await accept("bob")).toMatchObject({ code: 0 });
    expect(await as("ann", "rollouts", "undo", next, "--yes")).toMatchObject({ code: 0 });
  }, 120_000);
});

describe("a release that devices would refuse", () => {
  it("is not rolled out while it is not valid yet, or when it is over", async () => {
    const sign = (...more: string[]) => cli("releases", "sign", "digit-reader", "1.0.0", ...more);
    expect(await sign("--not-before", "1h")).toMatchObject({ code: 0 });
    expect(await cli(...rollout("1.0.0"))).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("release_not_yet_valid"),
    });
    expect(await sign("--ttl", "1ms")).toMatchObject({ code: 0 });
    expect(await cli(...rollout("1.0.0"))).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("release_expired"),
    });
    expect(await sign()).toMatchObject({ code: 0 });
  }, 60_000);

  it("is left out of the publisher's document when it is old, but never one that is in use", async () => {
    const pruned = await runCliJson<{ left: string[]; inUse: string[] }>(
      ["releases", "prune", "publisher", "--keep", "1"],
      harness.plane.cliEnv,
    );
    expect(pruned.left.length).toBeGreaterThan(0);
    expect(pruned.inUse.length).toBeGreaterThan(0);
    for (const id of pruned.inUse) expect(pruned.left.join()).not.toContain(id);
    const names = Object.keys((await harness.plane.get<{ roles: object }>("/api/v1/trust")).roles);
    expect(names).toContain("publisher");
    const old = await harness.call("GET", "/api/v1/trust/metadata/1.publisher.json");
    expect(old.status).toBe(200);
  }, 60_000);

  it("pauses its rollout when its publisher is revoked, says why, and goes on for nobody", async () => {
    device.silent = true;
    const id = await create("1.0.0");
    await reach(id, "running");
    expect(await cli("trust", "revoke", "publisher", "--yes")).toMatchObject({ code: 0 });
    expect(await cli("releases", "publish")).toMatchObject({ code: 0 });
    const paused = await reach(id, "paused");
    expect(paused).toMatchObject({ pauseReason: "trust", code: "release_not_vouched" });
    expect(await audited("rollout.pause")).toMatchObject([
      { actor: "plane:rollouts", details: { pauseReason: "trust" } },
    ]);
    expect(await as("ann", "rollouts", "resume", id)).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("release_not_vouched"),
    });
    expect(await as("ann", "rollouts", "abort", id, "--yes")).toMatchObject({ code: 0 });
    expect(await cli(...rollout("1.1.0"))).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("release_not_vouched"),
    });
  }, 60_000);
});
