import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { loadConfig } from "./config.ts";

describe("the agent's configuration", () => {
  let root: string;
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), "config-"));
  });
  afterEach(() => rmSync(root, { recursive: true, force: true }));
  const write = (text: string) => writeFileSync(join(root, "config.yaml"), text);

  it("needs no file", async () => {
    const config = await loadConfig(root, {});
    expect(config).toMatchObject({ telemetry: { windowMs: 10_000 }, inference: { host: "127.0.0.1", port: 8_700 } });
  });

  it("takes the file over the defaults and the environment over the file", async () => {
    write("telemetry:\n  windowMs: 2000\ninference:\n  port: 9000\n");
    const config = await loadConfig(root, { FAIRLEAD_AGENT_INFERENCE_PORT: "0" });
    expect(config).toMatchObject({ telemetry: { windowMs: 2_000 }, inference: { port: 0 } });
  });

  it.each([
    ["an unknown name", "telemetri:\n  windowMs: 2000\n"],
    ["a value out of its range", "telemetry:\n  windowMs: 1\n"],
    ["a list", "- a\n"],
    ["no YAML", "a: [\n"],
    ["a slot that requires an accelerator and names none", "slots: { reader: { providers: [cpu], require: true } }\n"],
    ["a first wait above the longest", "inference: { acceleratorRetry: { firstMs: 500, maxMs: 400 } }\n"],
    ["an endpoint that other machines could reach", "inference: { host: 0.0.0.0 }\n"],
    ["an endpoint by a name that somebody else resolves", "inference: { host: edge.example }\n"],
    ["a socket outside of where its path begins", "inference: { socket: ../other/a.sock }\n"],
    ["a socket with a way back in its path", "inference: { socket: /run/../etc/a.sock }\n"],
    ["a socket that is a folder", "inference: { socket: run/ }\n"],
    ["a domain of operators that nobody knows", "models: { allowDomains: [org.evil] }\n"],
    ["an operator that is no name", "models: { denyOperators: ['a b'] }\n"],
    ["a batch job that asks nobody", "batch: [{ name: a, folder: /a }]\n"],
    ["a batch job that asks a model and a slot", "batch: [{ name: a, model: m, slot: s, folder: /a }]\n"],
    ["a pipeline that asks nobody", 'pipelines: [{ name: a, broker: "mqtt://127.0.0.1", input: a, output: b }]\n'],
  ])("refuses %s", async (_what, text) => {
    write(text);
    await expect(loadConfig(root, {})).rejects.toMatchObject({ code: "config_invalid" });
  });

  it("lets batch jobs and pipelines ask a model by its name or whatever a slot serves", async () => {
    write(
      "batch: [{ name: a, model: m, folder: /a }]\n" +
        'pipelines: [{ name: a, slot: s, broker: "mqtt://127.0.0.1", input: a, output: b }]\n',
    );
    expect(await loadConfig(root, {})).toMatchObject({
      batch: [{ model: "m", slot: null }],
      pipelines: [{ model: null, slot: "s" }],
    });
  });

  it("says what to do about an endpoint that is no loopback address, or a socket whose path no system takes", async () => {
    write("inference: { host: 0.0.0.0 }\n");
    await expect(loadConfig(root, {})).rejects.toThrow(
      /0\.0\.0\.0 is no loopback address.*a proxy.*\n.*inference\.host/u,
    );
    write(`inference: { socket: ${"a".repeat(100)} }\n`);
    await expect(loadConfig(root, {})).rejects.toMatchObject({
      code: "config_invalid",
      hint: expect.stringContaining("shorter"),
    });
    write("inference: { socket: run/inference.sock }\n");
    expect((await loadConfig(root, {})).inference.socket).toBe("run/inference.sock");
  });

  it("allows every domain of operators, and takes fewer", async () => {
    const all = { allowDomains: ["ai.onnx", "ai.onnx.ml", "com.microsoft"], denyOperators: [] };
    expect((await loadConfig(root, {})).models).toEqual(all);
    write("models: { allowDomains: [ai.onnx], denyOperators: ['Loop', 'com.microsoft::QMoE'] }\n");
    const fewer = { allowDomains: ["ai.onnx"], denyOperators: ["Loop", "com.microsoft::QMoE"] };
    expect((await loadConfig(root, {})).models).toEqual(fewer);
  });

  it("takes providers per slot", async () => {
    write("slots:\n  reader: { providers: [webgpu, cpu], require: true }\n  other: {}\n");
    const { slots } = await loadConfig(root, {});
    expect(slots).toMatchObject({
      reader: { providers: ["webgpu", "cpu"], require: true },
      other: { providers: null, require: false },
    });
  });

  it("refuses an environment that is no number", async () => {
    const environment = { FAIRLEAD_AGENT_TELEMETRY_WINDOW_MS: "soon" };
    await expect(loadConfig(root, environment)).rejects.toMatchObject({ code: "config_invalid" });
  });
});
