import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildOnnxModel } from "@fairlead/inference/testing";
import type { EventData, RolloutStatus, SignedDesiredState, SlotReport } from "@fairlead/protocol";
import { afterAll, beforeAll, expect, it } from "vitest";
import { runCli, runCliJson } from "../support/cli.ts";
import { eventually } from "../support/eventually.ts";
import { publishDigitReader } from "../support/publish.ts";
import { createTelemetry, enrol, RawDevice, startPlane, type Harness } from "./plane-harness.ts";

/**
 * A cleared screen, a window title, a link, a colour that we do not use, one that we do, a bell, C1, a name that reads
 * backwards, a line of its own, a formula. `MARK` says that a text which holds it was shown.
 */
const hostile = (limit: number): string =>
  "MARK\r\n=cmd()\u001b[2J\u001b]0;own\u0007\u001b[45m\u001b[31m\u009b5m\u202eexe\u001b]8;;http://x\u001b\\<script>\u2028"
    .repeat(4)
    .slice(0, limit);

let harness: Harness;
let device: RawDevice;
let rolloutId = "";
let remediationId = "";
const dir = mkdtempSync(join(tmpdir(), "attacks-terminal-"));
const modelFile = join(dir, "hostile.onnx");

/** Says of everything that it is asked that it runs it and that it failed, in its own words. */
async function answer({ signed }: SignedDesiredState, revision: number): Promise<void> {
  const slots = signed.slots.map(({ slot, release, rolloutId: rollout, attempt }): SlotReport => {
    const content = release?.signed.content;
    const releaseId = release?.signed.releaseId ?? null;
    const buildDigest = content?.builds[0]?.artifact.digest ?? "";
    const active =
      content === undefined || releaseId === null
        ? null
        : { releaseId, model: content.model, version: content.version, buildDigest };
    return {
      ...{ slot, active, previous: null, serving: false, notServingReason: hostile(256) },
      placement: { requested: [hostile(32)], proved: { [hostile(64)]: 0.5 }, reason: hostile(200) },
      choice:
        releaseId === null
          ? null
          : {
              ...{ releaseId, state: "decided", policyFrom: "default", chosen: buildDigest, fingerprint: buildDigest },
              ...{ policy: { objective: "latency", accuracyFloor: null }, measuredAtMs: null, cached: false },
              candidates: [
                {
                  ...{ buildDigest, precision: "int8", quantization: "qdq", sizeBytes: 1, latencyUs: null, runs: 0 },
                  joulesPerInference: { value: null, reason: hostile(100) },
                  ...{ energyMethod: null, accuracyRatio: null, agreementRatio: null },
                  ...{ verdict: "chosen", reason: hostile(240) },
                },
              ],
            },
      job: {
        ...{ releaseId, rolloutId: rollout, attempt, state: "failed", code: hostile(64), reason: hostile(500) },
        ...{ progressRatio: null, selfTest: null },
      },
    };
  });
  const refusal = { code: hostile(64), reason: hostile(500), tsMs: Date.now() };
  const head = { v: 1, epoch: "epoch0001", revision, tsMs: Date.now(), generation: signed.generation };
  await device.send("reported", { ...head, refusal, slots, inferenceEndpoint: hostile(256) });
}

async function sendEvents(buildDigest: string): Promise<void> {
  const build = { slot: "reader", buildDigest };
  const events: readonly EventData[] = [
    { kind: "placement-missed", ...build, wanted: hostile(32), share: 0, reason: hostile(256) },
    { kind: "refused", what: "release", code: hostile(64), reason: hostile(500) },
    { kind: "mirror-set-aside", mirror: hostile(256), code: hostile(64), reason: hostile(256), forMs: 1 },
    { kind: "freshness", state: "overdue", untilMs: 1, reason: hostile(256) },
    { kind: "serving-crashed", ...build, exit: hostile(64), restarts: 1 },
    { kind: "reverted", ...build, reason: hostile(256) },
  ];
  for (const [index, data] of events.entries()) {
    const head = { specversion: "1.0", id: `${hostile(100)}${index}`, source: hostile(256) };
    const kind = { type: `io.fairlead.device.${data.kind}.v1`, time: new Date().toISOString() };
    const event = { ...head, ...kind, datacontenttype: "application/json", data };
    await device.send("event", { v: 1, epoch: "epoch0001", seq: index + 1, tsMs: Date.now(), uptimeMs: 1, event });
  }
  const telemetry = createTelemetry(events.length + 1);
  const [window] = telemetry.windows;
  const host = { ...window?.host, cpuRatio: { value: null, reason: hostile(100) } };
  await device.send("telemetry", { ...telemetry, windows: [{ ...window, host }] });
  await device.acknowledged(events.length + 1);
}

beforeAll(async () => {
  harness = await startPlane();
  await publishDigitReader(harness.plane, "1.0.0");
  device = await RawDevice.connect(harness, await enrol(harness, "hostile-1"));
  let revision = 0;
  device.client.on("message", (topic) => {
    const last = device.received.findLast((message) => message.topic.endsWith("/desired"));
    if (topic.endsWith("/desired") && last !== undefined)
      void answer(last.body as unknown as SignedDesiredState, (revision += 1));
  });
  const inventory = { [hostile(64)]: hostile(256), "os.kernel": hostile(256), "trust.onStale": hostile(256) };
  await device.birth({ agentVersion: hostile(64), inventory });
  writeFileSync(
    modelFile,
    buildOnnxModel({
      graph: {
        name: hostile(200),
        nodes: [{ op: "Identity", inputs: [hostile(100)], outputs: [hostile(90)] }],
        inputs: [{ name: hostile(100), type: "float32", shape: [hostile(80), 2] }],
        outputs: [{ name: hostile(90), type: "float32", shape: [hostile(80), 2] }],
      },
      producer: hostile(200),
      metadata: { [hostile(60)]: hostile(500) },
    }),
  );
  const started = await runCliJson<RolloutStatus>(
    [
      ...["rollouts", "create", "--model", "digit-reader", "--version", "1.0.0", "--slot", "reader"],
      ...[
        "--selector",
        "site=test",
        "--stages",
        "all=100%",
        "--soak",
        "0",
        "--device-soak",
        "0",
        "--on-failure",
        "pause",
      ],
    ],
    harness.plane.cliEnv,
  );
  ({ rolloutId } = started);
  await eventually("the plane has heard of the failure", async () =>
    (await harness.plane.rollout(rolloutId)).devices.some(({ reason }) => reason?.includes("MARK")),
  );
  const reported = await harness.plane.device("hostile-1");
  await sendEvents(reported.reported?.slots[0]?.active?.buildDigest ?? "");
  const { code, stderr } = await runCli(
    ["models", "push", modelFile, "--model", "hostile", "--version", "1.0.0", "--description", hostile(200)],
    harness.plane.cliEnv,
  );
  expect(stderr).not.toContain("error");
  expect(code).toBe(0);
  remediationId = await eventually("it is remediated", async () => {
    const { items } = await harness.plane.get<{ items: { remediationId: string }[] }>("/api/v1/remediations");
    return items[0]?.remediationId;
  });
}, 120_000);
afterAll(async () => {
  await device[Symbol.asyncDispose]();
  await harness[Symbol.asyncDispose]();
  rmSync(dir, { recursive: true, force: true });
});

/** Every colour that the command line uses. The hostile text brings one of them too: that one must not pass. */
// oxlint-disable-next-line no-control-regex -- the escape character is what this is about
const ownColors = /\u001b\[(?:1|2|22|31|32|33|36|39)m/gu;

/** Runs it with colours, and gives what a terminal would get beside line feeds and our own colours. */
async function show(args: readonly string[]): Promise<{ readonly shown: string; readonly rest: string }> {
  const { stdout, stderr } = await runCli(args, { ...harness.plane.cliEnv, FORCE_COLOR: "1", NODE_NO_WARNINGS: "1" });
  const shown = `${stdout}${stderr}`;
  return { shown, rest: shown.replaceAll(ownColors, "").replaceAll("\n", "") };
}

it("A61 no word of a device or of a model steers the terminal, whichever command shows it and in whichever form", async () => {
  const commands: readonly (readonly string[])[] = [
    ["devices", "list"],
    ["devices", "get", "hostile-1"],
    ["devices", "describe", "hostile-1"],
    ["devices", "watch", "--timeout", "2s"],
    ["rollouts", "list"],
    ["rollouts", "status", rolloutId, "--no-watch"],
    ["rollouts", "status", rolloutId, "--watch", "--timeout", "2s"],
    ["rollouts", "history", rolloutId],
    ["remediations", "list"],
    ["remediations", "describe", remediationId],
    ["alerts", "list"],
    ["audit", "list"],
    ["models", "inspect", modelFile],
    ["models", "describe", "hostile"],
    ["models", "list"],
  ];
  /** Commands that show a hostile text to people; without them this test would prove nothing. */
  const spoken = new Set<string>();
  for (const command of commands)
    await Promise.all(
      ["wide", "json", ...(command[1] === "describe" ? ["yaml"] : [])].map(async (form) => {
        const { shown, rest } = await show([...command, "-o", form]);
        const name = `${command.join(" ")} -o ${form}`;
        expect(rest, name).not.toMatch(/[\p{Cc}\u202e\u2028]/u);
        expect(shown, name).not.toMatch(/^=cmd|MARK\n/mu);
        // The red of the hostile text stands right behind another sequence of it, as nothing of ours does.
        expect(shown.includes("[45m\u001b[31m"), name).toBe(false);
        if (form === "wide" && shown.includes("MARK")) spoken.add(command.slice(0, 2).join(" "));
      }),
    );
  expect([...spoken].toSorted()).toEqual([
    ...["alerts list", "audit list", "devices describe", "models describe", "models inspect"],
    ...["remediations describe", "rollouts history", "rollouts status"],
  ]);
}, 240_000);

it("A61 what a device says of itself is shown as it is, with its control characters spelled out", async () => {
  const { shown } = await show(["devices", "describe", "hostile-1"]);
  for (const line of ["agent        ", "inference    ", "placement ", "job failed "])
    expect(shown, line).toMatch(new RegExp(`${line}.*MARK\\\\u000d\\\\u000a=cmd\\(\\)\\\\u001b\\[2J`, "u"));
});

it("A61 what a command repeats of its own arguments and of the plane's answers is escaped in results and in errors", async () => {
  const text = hostile(200);
  const push = ["models", "push", modelFile, "--model", "hostile", "--version", "1.0.1", "--description", text];
  const pushed = await show(push);
  expect(pushed.shown).toContain("hostile 1.0.1: MARK\\u000d\\u000a=cmd()");
  for (const command of [
    ["releases", "accept-known-bad", "digit-reader", "1.0.0", "--reason", text, "--yes"],
    ["releases", "verify", text],
    ["rollouts", "status", text],
    ["models", "describe", text],
    ["contexts", "use", text],
  ]) {
    const { shown, rest } = await show(command);
    expect(rest, command.join(" ")).not.toMatch(/[\p{Cc}\u202e\u2028]/u);
    expect(shown, command.join(" ")).not.toMatch(/^=cmd/mu);
  }
  expect(pushed.rest).not.toMatch(/[\p{Cc}\u202e\u2028]/u);
});
