import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { AuditEntry, DeviceSummary } from "@fairlead/protocol";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runCliJson, runWarmCli, type CliAnswer } from "../support/cli.ts";
import { TestDevice } from "../support/device.ts";
import { digitModelPath } from "../support/digits.ts";
import { eventually } from "../support/eventually.ts";
import { TestPlane } from "../support/plane.ts";

const dir = mkdtempSync(join(tmpdir(), "fairlead-mistakes-"));
const plane = new TestPlane({ dir: join(dir, "plane") });
const device = new TestDevice({ name: "lab-1", dir: join(dir, "lab-1"), labels: {}, telemetryWindowMs: 300 });
const cli = (...args: string[]): Promise<CliAnswer> => runWarmCli(args, plane.cliEnv);
const cliJson = <Answer>(...args: string[]): Promise<Answer> => runCliJson<Answer>(args, plane.cliEnv);
const actions = async () =>
  (await cliJson<AuditEntry[]>("audit", "list", "--limit", "0"))
    .map(({ action }) => action)
    // What was refused is told late, and of many together.
    .filter((action) => action !== "request.refuse" && action !== "refusals.condense")
    .toSorted();

beforeAll(async () => {
  await plane.start();
});
afterAll(async () => {
  await device[Symbol.asyncDispose]();
  await plane[Symbol.asyncDispose]();
  rmSync(dir, { recursive: true, force: true });
});

describe("a mistyped", () => {
  it.each([
    [["rollouts", "status", "rol-xyz"], "rollout", "rollouts list"],
    [["rollouts", "abort", "a/b", "--yes"], "rollout", "rollouts list"],
    [["remediations", "describe", "rem-1"], "remediation", "remediations list"],
    [["alerts", "resolve", "alert 1", "--reason", "over"], "alert", "alerts list"],
    [["webhooks", "describe", "..", "--yes"], "webhook", "webhooks list"],
    [["webhooks", "delete", "hook"], "webhook", "webhooks list"],
    [["webhooks", "test", "hook"], "webhook", "webhooks list"],
    [["tokens", "revoke", "tok-1"], "token", "tokens list"],
    [["enrolments", "remove-ek", "00ff"], "endorsement key", "enrolments list-eks"],
    [["devices", "get", "Lab 1"], "device", "devices list"],
  ])("id is one that nothing has: %j", async (args, noun, list) => {
    const answer = await cli(...args);
    expect(answer).toMatchObject({ code: 3, stdout: "" });
    expect(answer.stderr).toBe(
      `error: no ${noun} is called ${args[2]} [not_found]\nhint: fairlead ${list} shows what there is\n`,
    );
  });

  const push = ["models", "push", digitModelPath("digit-reader-1.0.0-int8.onnx")];
  const create = ["rollouts", "create", "--model", "m", "--slot", "s", "--stages", "all=100%"];
  it.each([
    [[...push, "--model", "Two Models", "--version", "1.0.0"], "write lower-case letters, digits and dashes"],
    [[...push, "--model", "two", "--version", "1.x"], "write three numbers with dots between them"],
    [[...push, "--model", "two", "--version", "1.0.0", "--latency-p95-ms", "abc"], "write a number of milliseconds"],
    [["enrolments", "create-token", "--uses", "many"], "a whole number from 1 to 100000"],
    [["keys", "generate", "Bad Name"], "cannot be the name of a key"],
    [[...create, "--version", "1.0.0", "--selector", "a", "--gate", "self-test>=1@500"], "leave @500 out"],
    [["rollouts", "create", "-f", "x.yaml", "--manual", "--soak", "10m"], "say it in the file: --soak, --manual"],
    [[...create, "--version", "1.x", "--selector", "a"], "version: three numbers with dots between them"],
    [
      [...create, "--version", "1.0.0", "--selector", "a", "--slot", "a/b"],
      "slot: lower-case letters, digits and dashes",
    ],
    [
      [...create, "--version", "1.0.0", "--selector", "site==("],
      'unexpected "(" at character 7 after "site=="; write key=value',
    ],
    [
      ["devices", "list", "-l", "role=("],
      'unexpected "(" at character 6 after "role=" [selector_invalid]\nhint: write key=value',
    ],
    [["devices", "watch", "-l", "role=("], 'unexpected "(" at character 6 after "role="'],
    [["tokens", "create", "--role", "viewer", "--selector", "role=("], 'unexpected "(" at character 6 after "role="'],
  ])("option is a matter of usage, said once and in words: %j", async (args, text) => {
    const answer = await cli(...args);
    expect(answer, answer.stderr).toMatchObject({ code: 2, stdout: "", stderr: expect.stringContaining(text) });
    expect(answer.stderr.split(text)).toHaveLength(2);
    expect(answer.stderr).not.toMatch(/must match pattern|NaN/u);
  });
});

it("refuses two files that claim one target before it uploads either", async () => {
  const files = ["int8", "fp32"].map((form) => digitModelPath(`digit-reader-1.1.0-${form}.onnx`));
  const push = ["models", "push", ...files, "--model", "two-files", "--version", "1.0.0"];
  const answer = await cli(...push);
  expect(answer).toMatchObject({ code: 1, stdout: "" });
  expect(answer.stderr).toMatch(
    /^error: .*int8\.onnx and .*fp32\.onnx claim the same target \[duplicate_target\]\nhint: say how a device chooses/u,
  );
  expect((await cli("models", "describe", "two-files/1.0.0")).code).toBe(3);
  const told = await cli(...push, "--objective", "energy");
  expect(told.stderr).toContain("a device that meets both measures them and takes the one with the fewest joules");
});

it("says that a device waits for approval where the list of devices is empty", async () => {
  expect((await cli("devices", "list")).stderr).toContain("enrolments create-token");
  const { token } = await cliJson<{ token: string }>("enrolments", "create-token");
  const enrolled = device.enrol(plane, token);
  await eventually("it asks to join", async () => (await cli("enrolments", "list", "-o", "name")).stdout !== "");
  expect(await cli("devices", "list")).toMatchObject({
    ...{ code: 0, stdout: "", stderr: "no devices; 1 waits for approval: fairlead enrolments list --pending\n" },
  });
  expect((await cli("devices", "list", "-l", "site=x")).stderr).toBe('no device matches the selector "site=x"\n');
  expect((await cli("devices", "approve", "lab-1", "--yes")).code).toBe(0);
  await enrolled;
});

describe("apply", () => {
  const head = (kind: string) => `apiVersion: fairlead/v1\nkind: ${kind}\nspec:`;
  const token = (description: string) => `${head("EnrolmentToken")} { description: ${description}, uses: 3 }\n`;
  const labels = `${head("DeviceLabels")} { device: lab-1, labels: { site: lab } }\n`;
  const model = `${head("ModelVersion")}
  model: digit-reader
  version: 1.0.0
  release: true
  builds: [{ file: ${digitModelPath("digit-reader-1.0.0-int8.onnx")} }]
`;
  const rollout = (percent: number, more = "") => `${head("Rollout")}
  slot: reader
  model: digit-reader
  version: 1.0.0
  selector: site=lab
  stages: [{ name: all, target: { kind: percent, percent: ${percent} }${more} }]
`;
  const file = join(dir, "fleet.yaml");
  const write = (...documents: string[]) => {
    writeFileSync(file, documents.join("---\n"));
    return ["apply", "-f", file];
  };

  it.each<[string, string[], number, string]>([
    ["stages that do not reach everybody", [rollout(50)], 2, "document 4: spec.stages.0.target.percent"],
    ["a device that does not exist", [labels.replace("lab-1", "lab-2")], 3, 'did you mean "lab-1"?'],
    [
      "a file that is not a model",
      [model.replace("1.0.0", "1.0.1").replace(/file: \S+/u, `file: ${file}`)],
      1,
      "not_onnx",
    ],
    [
      "a gate on classes that the version does not name",
      [rollout(100, ", gates: [{ kind: confidence, against: absolute, minMean: 0.6 }]")],
      1,
      "names no classification output",
    ],
    [
      "two rollouts that would move one device at the same time",
      ["site=hall", "site in (hall,lab)"].map((selector) =>
        rollout(100).replace("selector: site=lab", `selector: "${selector}"`),
      ),
      5,
      "would move slot reader of lab-1 at the same time",
    ],
    ["a version that nobody releases", [rollout(100).replace("1.0.0", "1.0.1")], 1, "release_missing"],
  ])("changes nothing for the sake of a file with %s, and says so beforehand", async (...[, last, code, text]) => {
    const args = write(token("first"), labels.replace("site: lab", "site: hall"), model, ...last);
    const before = await actions();
    for (const more of [["--dry-run"], [], ["-o", "json"]]) {
      const answer = await cli(...args, ...more);
      expect(answer, answer.stderr).toMatchObject({ code, stderr: expect.stringContaining(text) });
      expect(answer.stdout).not.toMatch(/ {2}created|"created"/u);
    }
    expect(await actions()).toEqual(before);
  });

  it("asks for the key's passphrase before it changes anything", async () => {
    const args = write(token("first"), labels, model);
    const before = await actions();
    const answer = await runWarmCli(args, { ...plane.cliEnv, FAIRLEAD_KEY_PASSPHRASE: "" });
    expect(answer).toMatchObject({ code: 2, stdout: "", stderr: expect.stringContaining("passphrase_missing") });
    expect(await actions()).toEqual(before);
    expect((await cli(...args, "--dry-run")).code).toBe(0);
  });

  /** Only the plane knows whether the control has devices. */
  const refusedLate = rollout(100).replace("  stages:", "  control: role=none\n  stages:");

  it("says what it has done, tokens too, when the plane refuses a later document", async () => {
    const args = write(token("second"), labels, model, refusedLate, token("never"));
    expect((await cli(...args, "--dry-run")).code).toBe(0);
    const answer = await cli(...args);
    expect(answer, answer.stderr).toMatchObject({ code: 1, stderr: expect.stringContaining("selector_empty") });
    expect(answer.stdout).toMatch(/^EnrolmentToken second {2}created\n {2}fle_\S+$/mu);
    expect(answer.stdout).toMatch(/^DeviceLabels lab-1 {2}changed$/mu);
    expect(answer.stdout).toMatch(/^ModelVersion digit-reader 1\.0\.0 {2}created\n {2}release rel-/mu);
    expect(answer.stdout).toMatch(/^Rollout .* {2}failed$/mu);
    expect(answer.stdout).toMatch(/^EnrolmentToken never {2}not tried$/mu);
    expect(await cliJson<DeviceSummary[]>("devices", "list", "-l", "site=lab")).toHaveLength(1);
  });

  it("says so as JSON and by name as well", async () => {
    const asJson = await cli(...write(token("third"), labels, refusedLate, token("never")), "-o", "json");
    expect(asJson.code).toBe(1);
    expect(JSON.parse(asJson.stdout)).toMatchObject([
      { subject: "EnrolmentToken third", effect: "created", result: expect.stringMatching(/^fle_/u) },
      { effect: "unchanged" },
      { effect: "failed", error: { code: "selector_empty" } },
      { subject: "EnrolmentToken never", effect: "not tried", result: null },
    ]);
    const byName = await cli(...write(token("fourth"), refusedLate), "-o", "name", "--quiet");
    expect(byName).toMatchObject({ code: 1, stdout: "EnrolmentToken fourth\n" });
    expect(byName.stderr).toMatch(/^fle_\S+\nerror: .*\[selector_empty\]\n/u);
  });
});

it("names the model that was meant, instead of asking to sign one that does not exist", async () => {
  const meant = { stderr: expect.stringContaining('"digit-reader"') };
  expect(await cli("releases", "sign", "digit-reder", "1.0.0")).toMatchObject({ code: 3, ...meant });
  expect(await cli("releases", "sign", "digit-reader", "1.0.9")).toMatchObject({
    ...{ code: 3, stderr: expect.stringContaining('did you mean "1.0.0"?') },
  });
  const create = (model: string, version: string) =>
    cli(
      ...["rollouts", "create", "--model", model, "--version", version, "--slot", "reader"],
      ...["--selector", "site=lab", "--stages", "all=100%"],
    );
  const misspelt = await create("digit-reder", "1.0.0");
  expect(misspelt).toMatchObject({ code: 1, ...meant });
  expect(misspelt.stderr).not.toContain("releases sign");
  expect((await create("digit-reader", "1.0.9")).stderr).toContain('did you mean the version "1.0.0"?');
});

it("acts as the environment's token says, whatever the context holds", async () => {
  const { FAIRLEAD_TOKEN: administrator = "", FAIRLEAD_SERVER: _server, ...rest } = plane.cliEnv;
  const env = { ...rest, FAIRLEAD_SERVER: "", FAIRLEAD_CONFIG: join(dir, "own", "config.yaml") };
  const added = await runWarmCli(["contexts", "add", "lab", "--server", plane.url, "--token", administrator], env);
  expect(added.code).toBe(0);
  const viewer = (await cliJson<{ token: string }>("tokens", "create", "--role", "viewer")).token;
  for (const context of [[], ["--context", "lab"]]) {
    const create = ["enrolments", "create-token", ...context];
    const own = await runWarmCli(create, env);
    expect(own, own.stderr).toMatchObject({ code: 0 });
    expect(await runWarmCli(create, { ...env, FAIRLEAD_TOKEN: viewer })).toMatchObject({ code: 4, stdout: "" });
    expect(await runWarmCli(["devices", "list", ...context], { ...env, FAIRLEAD_TOKEN: viewer })).toMatchObject({
      code: 0,
    });
    const flagged = [...create, "--token", administrator];
    expect(await runWarmCli(flagged, { ...env, FAIRLEAD_TOKEN: viewer })).toMatchObject({ code: 0 });
  }
});
