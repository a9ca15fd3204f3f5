import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
  mkdirSync,
} from "node:fs";
import { execFileSync } from "node:child_process";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type {
  AuditEntry,
  DeviceSummary,
  Enrolment,
  ModelVersionDetail,
  Remediation,
  RolloutStatus,
} from "@fairlead/protocol";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { entries, toEntry } from "../support/entries.ts";
import { runCli, runCliJson, type CliAnswer } from "../support/cli.ts";
import { TestDevice } from "../support/device.ts";
import { digitModelPath } from "../support/digits.ts";
import { eventually } from "../support/eventually.ts";
import { TestPlane } from "../support/plane.ts";
import { OwnedProcess } from "../support/process.ts";

const dir = mkdtempSync(join(tmpdir(), "fairlead-cli-"));
const plane = new TestPlane({ dir: join(dir, "plane") });
const device = new TestDevice({ name: "lab-1", dir: join(dir, "lab-1"), labels: {}, telemetryWindowMs: 300 });
const entry = toEntry("cli");
const cli = (...args: string[]): Promise<CliAnswer> => runCli(args, plane.cliEnv);
const cliJson = <Answer>(...args: string[]): Promise<Answer> => runCliJson<Answer>(args, plane.cliEnv);
const digitFile = (version: string) => digitModelPath(`digit-reader-${version}-int8.onnx`);
const push = (version: string) => [
  ...["models", "push", digitFile(version), "--model", "digit-reader", "--version", version],
  ...["--golden", digitModelPath(`golden-${version}.json`), "--labels", "0,1,2,3,4,5,6,7,8,9"],
];
const create = (version: string, ...rest: string[]) => [
  ...["rollouts", "create", "--model", "digit-reader", "--version", version, "--slot", "reader"],
  ...["--selector", "site=lab", "--stages", "all=100%", "--device-soak", "200ms", "--gate", "self-test>=1", ...rest],
];

beforeAll(async () => {
  await plane.start();
});
afterAll(async () => {
  await device[Symbol.asyncDispose]();
  await plane[Symbol.asyncDispose]();
  rmSync(dir, { recursive: true, force: true });
});

it("compiles itself once into the user's own cache folder, and works where it cannot be written", async () => {
  const at = (cache: string) => ({ NODE_COMPILE_CACHE: "", XDG_CACHE_HOME: cache });
  const cache = join(dir, "cache");
  const count = () => readdirSync(cache, { recursive: true }).length;
  expect(await runCli(["--version"], at(cache))).toMatchObject({ code: 0, stdout: "0.1.0\n", stderr: "" });
  const kept = count();
  expect(kept).toBeGreaterThan(1);
  expect(statSync(join(cache, "fairlead")).mode & 0o022).toBe(0);
  expect(await runCli(["--version"], at(cache))).toMatchObject({ code: 0, stderr: "" });
  expect(count()).toBe(kept);
  expect(await runCli(["--version"], at("/dev/null/nowhere"))).toMatchObject({
    code: 0,
    stdout: "0.1.0\n",
    stderr: "",
  });
});

describe("contexts", () => {
  const env = () => ({ FAIRLEAD_CONFIG: join(dir, "own", "config.yaml"), FAIRLEAD_SERVER: "", FAIRLEAD_TOKEN: "" });

  it("pins the authority that the token names and works from the file alone", async () => {
    const added = await runCli(["contexts", "add", "lab", "--server", plane.url, "--token", plane.token], env());
    expect(added).toMatchObject({ code: 0, stdout: "" });
    expect(statSync(env().FAIRLEAD_CONFIG).mode & 0o777).toBe(0o600);
    expect(readFileSync(env().FAIRLEAD_CONFIG, "utf8")).toContain("BEGIN CERTIFICATE");
    expect(await runCli(["devices", "list", "-o", "json"], env())).toMatchObject({
      code: 0,
      stdout: "[]\n",
      stderr: "",
    });
  });

  it("keeps the token of a context that is added again, and another plane's context", async () => {
    const again = await runCli(["contexts", "add", "lab", "--server", plane.url], env());
    expect(again.code, again.stderr).toBe(0);
    expect(await runCli(["devices", "list", "-o", "json"], env())).toMatchObject({ code: 0, stdout: "[]\n" });
    expect(await runCli(["contexts", "add", "lab", "--server", "https://127.0.0.1:1"], env())).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("fairlead contexts remove lab"),
    });
  });

  it("refuses a plane that is not the one of the token, and a server without a pinned authority", async () => {
    const foreign = `${plane.token.slice(0, -4)}0000`;
    expect(await runCli(["contexts", "add", "evil", "--server", plane.url, "--token", foreign], env())).toMatchObject({
      code: 4,
      stderr: expect.stringContaining("fingerprint_mismatch"),
    });
    const bare = { ...plane.cliEnv, FAIRLEAD_TOKEN: plane.token.split(".")[0] ?? "" };
    expect(await runCli(["devices", "list"], bare)).toMatchObject({
      code: 4,
      stderr: expect.stringContaining("server_untrusted"),
    });
  });
});

describe("exit codes", () => {
  it.each([
    [["models", "lst"], 2, "Did you mean list?"],
    [
      [
        "rollouts",
        "create",
        "--model",
        "m",
        "--version",
        "1.0.0",
        "--slot",
        "s",
        "--selector",
        "a",
        "--stages",
        "all=100",
      ],
      2,
      "all=100%",
    ],
    [["devices", "get", "nobody"], 3, "not_found"],
    [["devices", "list", "--server", "https://127.0.0.1:9"], 7, "server_unreachable"],
    [["models", "inspect", "/does/not/exist"], 1, "file_unreadable"],
    [["devices", "list", "-o", "xml"], 2, "Allowed choices"],
    [["audit", "list", "--verify"], 0, "intact"],
  ])("%j ends with %i", async (args, code, text) => {
    const answer = await cli(...args);
    expect(answer).toMatchObject({ code, stderr: expect.stringContaining(text) });
  });

  it("ends with 4 for a token that the plane does not know", async () => {
    const stranger = `fla_${"A".repeat(43)}.${plane.token.split(".")[1]}`;
    expect(await runCli(["devices", "list"], { ...plane.cliEnv, FAIRLEAD_TOKEN: stranger })).toMatchObject({
      code: 4,
      stdout: "",
    });
  });
});

describe("models", () => {
  it("reads a model without a server", async () => {
    const args = ["models", "inspect", digitFile("1.1.0")];
    expect(await runCliJson(args, {})).toMatchObject({ precision: "int8", quantization: "qdq", nodeCount: 29 });
  });

  it("pushes once, leaves the same version alone and refuses another under its number", async () => {
    const first = await cliJson<ModelVersionDetail>(...push("1.0.0"));
    expect(first.content.classification).toMatchObject({ output: "probabilities" });
    expect(await cli(...push("1.0.0"))).toMatchObject({ code: 0, stderr: expect.stringContaining("unchanged") });
    const other = [...push("1.1.0").slice(0, 6), "1.0.0"];
    expect(await cli(...other)).toMatchObject({ code: 5, stderr: expect.stringContaining("next version number") });
    await cliJson(...push("1.1.0"));
    for (const version of ["1.0.0", "1.1.0"]) await cliJson("releases", "sign", "digit-reader", version);
  });

  it("lists what is registered, and describes one version, or the newest", async () => {
    const { stdout } = await cli("models", "list");
    expect(stdout).toMatch(/^MODEL +VERSION +BUILDS +RELEASED +REGISTERED\n/u);
    expect(stdout).toMatch(/^digit-reader +1\.1\.0 +1 +yes /mu);
    expect((await cli("models", "list", "-o", "name")).stdout.trim().split("\n").toSorted()).toEqual([
      "digit-reader/1.0.0",
      "digit-reader/1.1.0",
    ]);
    const [listed] = await cliJson<{ model: string; versions: unknown[] }[]>("models", "list");
    expect(listed).toMatchObject({ model: "digit-reader", versions: [{}, {}] });
    const newest = await cliJson<ModelVersionDetail>("models", "describe", "digit-reader");
    expect(newest.content).toMatchObject({ model: "digit-reader", version: "1.1.0" });
    const text = await cli("models", "describe", "digit-reader", "1.0.0");
    expect(text).toMatchObject({ code: 0, stdout: expect.stringContaining("1.0.0") });
    expect(text.stdout).toMatch(/^build +sha256:[0-9a-f]{12}… +int8 qdq /mu);
    expect(await cli("models", "describe", "digit-raeder")).toMatchObject({
      code: 3,
      stderr: expect.stringContaining('"digit-reader"'),
    });
    expect((await cli("models", "describe", "digit-reader", "1.0.1")).code).toBe(3);
  });

  it("names the file that is not a model", async () => {
    expect(await cli("models", "push", "package.json", "--model", "m", "--version", "1.0.0")).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/package\.json.*not_onnx/u),
    });
  });
});

describe("a device and its rollouts", () => {
  it("approves a waiting device by name", async () => {
    const token = (await cli("enrolments", "create-token")).stdout.trim();
    const enrolled = device.enrol(plane, token);
    await eventually("the device asks to join", async () => {
      return (await cliJson<Enrolment[]>("enrolments", "list", "--pending")).length === 1;
    });
    expect(await cli("devices", "approve", "lab-1")).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("--yes"),
    });
    expect(await cli("devices", "approve", "lab-2", "--yes")).toMatchObject({
      code: 3,
      stderr: expect.stringContaining('"lab-1"'),
    });
    expect((await cli("devices", "approve", "lab-1", "--yes")).code).toBe(0);
    await enrolled;
    device.run();
    await eventually(
      "the device is online",
      async () => (await cliJson<DeviceSummary[]>("devices", "list"))[0]?.online,
    );
  });

  it("applies labels, shows the difference first and changes nothing twice", async () => {
    const file = join(dir, "fleet.yaml");
    writeFileSync(
      file,
      "apiVersion: fairlead/v1\nkind: DeviceLabels\nspec: { device: lab-1, labels: { site: lab } }\n",
    );
    expect((await cli("apply", "-f", file, "--dry-run")).stdout).toContain('+ site: "lab"');
    expect(await cliJson<DeviceSummary[]>("devices", "list", "-l", "site=lab")).toEqual([]);
    expect((await cli("apply", "-f", file)).stdout).toContain("changed");
    expect((await cli("apply", "-f", file)).stdout).toContain("unchanged");
    expect(await cliJson<DeviceSummary[]>("devices", "list", "-l", "site=lab")).toHaveLength(1);
  });

  it("follows a rollout to its success", async () => {
    const answer = await cli(...create("1.0.0", "--soak", "200ms", "--watch", "--timeout", "40s"));
    expect(answer).toMatchObject({ code: 0, stdout: expect.stringMatching(/succeeded[\s\S]*✔ all \(100%\)/u) });
  });

  it("returns 6 when time is up, 8 when it was aborted, and 130 when interrupted", async () => {
    const { rolloutId } = await cliJson<RolloutStatus>(...create("1.1.0", "--soak", "5m"));
    expect(await cli("rollouts", "status", rolloutId, "--watch", "--timeout", "1s")).toMatchObject({
      code: 6,
      stderr: expect.stringContaining("goes on"),
    });
    await using watching = new OwnedProcess({
      ...{ name: "watch", entry, args: ["rollouts", "status", rolloutId, "--watch"], env: plane.cliEnv },
    });
    await eventually("the watch shows something", () => watching.output.includes("all (100%)"));
    await watching.kill("SIGINT");
    expect(await watching.exited()).toBe(130);
    // A file that asks for the same devices, however it names them, waits; it says so before it writes anything.
    const file = join(dir, "again.yaml");
    const { spec } = await cliJson<RolloutStatus>("rollouts", "status", rolloutId);
    const write = (selector: string) =>
      writeFileSync(file, JSON.stringify({ apiVersion: "fairlead/v1", kind: "Rollout", spec: { ...spec, selector } }));
    write("site in (lab,hall)");
    expect(await cli("apply", "-f", file, "--dry-run")).toMatchObject({
      ...{ code: 5, stdout: "" },
      stderr: expect.stringContaining(`rollout ${rolloutId} moves slot reader of lab-1 now`),
    });
    write(spec.selector);
    expect((await cli("apply", "-f", file)).stdout).toContain("unchanged");
    // Whoever reaches a part of the fleet has the selector narrowed, and asks for the same as before all the same.
    const part = ["tokens", "create", "--role", "operator", "--selector", "site=lab"];
    const { token } = await cliJson<{ token: string }>(...part);
    write("");
    writeFileSync(file, readFileSync(file, "utf8").replace('"wholeFleet":false', '"wholeFleet":true'));
    const again = await runCli(["apply", "-f", file, "--dry-run"], { ...plane.cliEnv, FAIRLEAD_TOKEN: token });
    expect(again.stdout + again.stderr).toContain(rolloutId);
    write(spec.selector);
    expect((await cli("rollouts", "abort", rolloutId, "--yes", "--reason", "enough")).code).toBe(0);
    const ended = await cli("rollouts", "status", rolloutId, "--watch", "-o", "json", "--timeout", "40s");
    expect(ended.code).toBe(8);
    expect(JSON.parse(ended.stdout)).toMatchObject({ state: "rolled_back" });
    expect((await cli("rollouts", "history", rolloutId)).stdout).toContain("enough");
    // What the file asks for was tried and is not there: that is no success.
    expect(await cli("apply", "-f", file)).toMatchObject({
      ...{ code: 8, stdout: "" },
      stderr: expect.stringContaining(`rollout ${rolloutId} of this ended without success: rolled back: aborted by`),
    });
  });

  it("applies a rollout from a file: shows what is new, starts it once, and the device runs it", async () => {
    const file = join(dir, "rollout.yaml");
    const write = (version: string) =>
      writeFileSync(
        file,
        `apiVersion: fairlead/v1
kind: Rollout
spec:
  slot: reader
  model: digit-reader
  version: ${version}
  selector: site=lab
  deviceSoakMs: 0
  stages:
    - { name: all, target: { kind: percent, percent: 100 }, soakMs: 0, gates: [{ kind: self-test, minPassedRatio: 1 }] }
`,
      );
    write("9.9.9");
    expect(await cli("apply", "-f", file)).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("9.9.9 has no release"),
    });
    write("1.1.0");
    const before = (await cliJson<RolloutStatus[]>("rollouts", "list")).length;
    expect((await cli("apply", "-f", file, "--dry-run")).stdout).toContain("+ stages.0.soakMs: 0");
    expect(await cliJson<RolloutStatus[]>("rollouts", "list")).toHaveLength(before);
    const applied = await cli("apply", "-f", file);
    const rolloutId = /rol-[0-9a-z]+/u.exec(`${applied.stdout}${applied.stderr}`)?.[0] ?? "";
    expect(rolloutId).not.toBe("");
    const ended = await cli("rollouts", "status", rolloutId, "--watch", "-o", "json", "--timeout", "40s");
    expect(JSON.parse(ended.stdout)).toMatchObject({ state: "succeeded" });
    expect((await cli("apply", "-f", file)).stdout).toContain("unchanged");
    expect(await cliJson<RolloutStatus[]>("rollouts", "list")).toHaveLength(before + 1);
    const [lab] = await cliJson<DeviceSummary[]>("devices", "list");
    expect(lab?.slots[0]?.running?.version).toBe("1.1.0");
  });

  it("prints a line for each device and for each change of one, until it is interrupted or its time is up", async () => {
    const args = ["devices", "watch", "-l", "site=lab"];
    await using watching = new OwnedProcess({ name: "watch", entry, args, env: plane.cliEnv });
    await eventually("the device is there", () => watching.output.includes("reader=digit-reader 1.1.0 serving"));
    const created = await cli(...create("1.0.0", "--soak", "200ms", "--watch", "--timeout", "40s"));
    expect(created, created.stderr).toMatchObject({ code: 0 });
    await eventually("the change is there", () => watching.output.includes("reader=digit-reader 1.0.0 serving"));
    await watching.kill("SIGINT");
    expect(await watching.exited()).toBe(130);
    const lines = watching.output.trim().split("\n");
    expect(lines.every((line) => /^\d{4}-\d\d-\d\dT[\d:.]+Z {2}lab-1 {2}enrolled {2}/u.test(line))).toBe(true);

    const timed = await cli(...args, "-o", "json", "--timeout", "1s");
    expect(timed).toMatchObject({ code: 0, stderr: "" });
    expect(JSON.parse(timed.stdout.split("\n")[0] ?? "")).toMatchObject({ device: "lab-1", online: true });
    expect(await cli("devices", "watch", "-l", "site=nowhere", "--timeout", "1s")).toMatchObject({ stdout: "" });
  });

  it("describes what was done about a model file that somebody overwrote", async () => {
    const [lab] = await cliJson<DeviceSummary[]>("devices", "list");
    const name = lab?.slots[0]?.running?.buildDigest.slice("sha256:".length) ?? "none";
    const found = readdirSync(device.dataDir, { recursive: true, encoding: "utf8" }).find((path) =>
      path.endsWith(name),
    );
    const file = join(device.dataDir, found ?? "nothing");
    writeFileSync(file, Buffer.alloc(statSync(file).size, 0x41));
    const resolved = await eventually("the device is healed", async () =>
      (await cliJson<Remediation[]>("remediations", "list")).find(({ state }) => state === "resolved"),
    );
    const described = await cli("remediations", "describe", resolved.remediationId);
    expect(described).toMatchObject({ code: 0, stderr: "" });
    expect(described.stdout).toMatch(/^device {7}lab-1$/mu);
    expect(described.stdout).toMatch(/^symptom {6}integrity-failed, by rule repair-model-file$/mu);
    expect(described.stdout).toMatch(/^state {8}resolved /mu);
    expect(described.stdout.match(/^action /gmu)?.length).toBe(resolved.actions.length);
    expect(resolved.actions.length).toBeGreaterThan(1);
    expect(await cliJson<Remediation>("remediations", "describe", resolved.remediationId)).toMatchObject({
      remediationId: resolved.remediationId,
      device: "lab-1",
    });
    const other = resolved.remediationId.replace(/.$/u, (last) => (last === "0" ? "1" : "0"));
    expect(await cli("remediations", "describe", other)).toMatchObject({
      code: 3,
      stderr: expect.stringContaining(resolved.remediationId),
    });
  });

  it("offers again, by retry, to a device that failed, and only to such", async () => {
    const succeeded = (await cliJson<RolloutStatus[]>("rollouts", "list")).find(({ state }) => state === "succeeded");
    expect(await cli("rollouts", "retry", succeeded?.rolloutId ?? "")).toMatchObject({
      code: 5,
      stderr: expect.stringContaining("no device has failed"),
    });
    const board = ["models", "push", digitFile("1.1.0"), "--model", "digit-reader", "--version", "1.2.0"];
    await cliJson(...board, "--target", "profile=nvidia-jetson-orin");
    await cliJson("releases", "sign", "digit-reader", "1.2.0");
    const { rolloutId } = await cliJson<RolloutStatus>(...create("1.2.0", "--soak", "0s", "--on-failure", "pause"));
    const reach = (attempts: number) =>
      eventually(
        "the device has no build for itself",
        async () => {
          const history = await cliJson<{ kind: string }[]>("rollouts", "history", rolloutId);
          const { state } = await cliJson<RolloutStatus>("rollouts", "status", rolloutId);
          return state === "paused" && history.filter(({ kind }) => kind === "offer").length === attempts;
        },
        60_000,
      );
    await reach(1);
    const again = await cli("rollouts", "retry", rolloutId, "--reason", "once more");
    expect(again, again.stderr).toMatchObject({ code: 0, stderr: expect.stringContaining("rollouts status") });
    expect(again.stdout).toContain(rolloutId);
    await reach(2);
    expect((await cli("rollouts", "history", rolloutId)).stdout).toContain("once more");
    expect((await cli("rollouts", "abort", rolloutId, "--yes")).code).toBe(0);
  }, 180_000);

  it("finds the audit log intact and complete", async () => {
    const answer = await cli("audit", "list", "--limit", "0", "--verify", "-o", "json");
    const actions = (JSON.parse(answer.stdout) as AuditEntry[]).map((entry_) => entry_.action);
    expect(answer.code).toBe(0);
    expect(actions).toEqual(expect.arrayContaining(["model.register", "release.publish", "device.label"]));
  });
});

it("runs through the link that a package manager makes", () => {
  const bin = join(dir, "node_modules", ".bin");
  mkdirSync(bin, { recursive: true });
  symlinkSync(new URL(`../../${entries.source.cli}`, import.meta.url).pathname, join(bin, "fairlead"));
  const path = `${join(process.execPath, "..")}:${process.env["PATH"]}`;
  expect(
    execFileSync(join(bin, "fairlead"), ["--cli-version"], { encoding: "utf8", env: { ...process.env, PATH: path } }),
  ).toMatch(/^\d+\.\d+\.\d+\n$/u);
});
