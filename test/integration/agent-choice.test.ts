import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { Build, ModelVersion } from "@fairlead/protocol";
import { toEntry } from "../support/entries.ts";
import { digitModelPath } from "../support/digits.ts";
import { OwnedProcess } from "../support/process.ts";
import { AgentHarness, device, toContent } from "./agent-harness.ts";
import { MiniPlane } from "./mini-plane.ts";

function toChoice(plane: MiniPlane): { content: ModelVersion; bad: Build } {
  const files = { model: "digit-reader-1.1.0-int8.onnx", golden: "golden-1.1.0.json" };
  const content = toContent(plane, "1.1.0", files);
  const [int8] = content.builds as [Build];
  const add = (file: string, precision: Build["precision"]): Build => ({
    ...int8,
    precision,
    artifact: plane.addArtifact(readFileSync(digitModelPath(file))),
  });
  const fp32 = add("digit-reader-1.1.0-fp32.onnx", "fp32");
  const bad = add("digit-reader-1.2.0-int8-miscalibrated.onnx", "int8");
  return { content: { ...content, builds: [int8, fp32, bad] }, bad };
}

describe("a device with several builds to choose from", () => {
  it("measures them, names the losers, excludes what is below the floor, and measures nothing again after a restart", async () => {
    await using plane = await MiniPlane.start();
    await using agent = new AgentHarness(plane);
    expect((await agent.enrol()).code).toBe(0);
    const { content, bad } = toChoice(plane);
    await plane.desire(device, [
      { slot: "reader", release: plane.sign(content), rolloutId: null, attempt: 1, soakMs: 500 },
    ]);
    agent.run();
    await agent.waitForVersion("1.1.0");
    const choice = agent.slot?.choice;
    expect(choice).toMatchObject({ state: "decided", cached: false, policyFrom: "default" });
    expect(choice?.candidates).toHaveLength(3);
    expect(agent.slot?.active?.buildDigest).toBe(choice?.chosen);
    expect(choice?.candidates.map(({ verdict }) => verdict).toSorted()).toEqual(["chosen", "excluded", "lost"]);
    const excluded = choice?.candidates.find(({ buildDigest }) => buildDigest === bad.artifact.digest);
    expect(excluded).toMatchObject({ verdict: "excluded" });
    expect(excluded?.reason).toContain("below the floor");
    for (const candidate of choice?.candidates ?? []) {
      expect(candidate.latencyUs?.p50).toBeGreaterThan(0);
      expect(candidate.energyMethod).not.toBeNull();
    }
    const losers = choice?.candidates.filter(({ verdict }) => verdict !== "chosen") ?? [];
    const toFile = (digest: string) => join(agent.data, "models", "sha256", digest.slice("sha256:".length));
    await agent.waitFor("the losers' files are gone", () =>
      losers.every((one) => !existsSync(toFile(one.buildDigest))),
    );

    const bench = async (...args: string[]) => {
      const entry = toEntry("agent");
      await using shown = new OwnedProcess({ name: "bench", entry, args: ["bench", "--data", agent.data, ...args] });
      return { code: await shown.exited(), output: shown.output };
    };
    const shown = await bench();
    expect(shown.code).toBe(0);
    expect(shown.output).toMatch(/slot reader: decided by latency/u);
    for (const verdict of ["chosen:", "lost:", "excluded:"]) expect(shown.output).toContain(verdict);
    expect(JSON.parse((await bench("--slot", "reader", "--json")).output)).toEqual({ reader: choice });
    expect(await bench("--slot", "other")).toMatchObject({
      code: 1,
      output: expect.stringContaining("nothing was measured"),
    });

    await agent.process.kill("SIGKILL");
    const reports = plane.reported.length;
    agent.run();
    const again = await agent.waitFor("it reports after the restart", () =>
      plane.reported.slice(reports).find(({ slots }) => slots[0]?.serving === true),
    );
    expect(again.slots[0]?.choice).toMatchObject({ cached: true, measuredAtMs: choice?.measuredAtMs });
    expect(again.slots[0]?.active?.buildDigest).toBe(choice?.chosen);
  });
});
