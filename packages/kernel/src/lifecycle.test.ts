import { describe, expect, it } from "vitest";
import { Lifecycle, type Service } from "./lifecycle.ts";

function recorder(name: string, log: string[], failOn?: "start" | "stop"): Service {
  const act = (verb: "start" | "stop") => async () => {
    log.push(`${verb} ${name}`);
    if (failOn === verb) throw new Error(`${name} cannot ${verb}`);
  };
  return { name, start: act("start"), stop: act("stop") };
}

describe("Lifecycle", () => {
  it("stops in the reverse order of starting", async () => {
    const log: string[] = [];
    const life = new Lifecycle("all", [recorder("a", log), recorder("b", log)]);
    await life.start();
    await life.stop();
    expect(log).toEqual(["start a", "start b", "stop b", "stop a"]);
  });

  it("stops what it started when a later start fails", async () => {
    const log: string[] = [];
    const life = new Lifecycle("all", [recorder("a", log), recorder("b", log, "start")]);
    await expect(life.start()).rejects.toThrow("b cannot start");
    expect(log).toEqual(["start a", "start b", "stop a"]);
  });

  it("stops the rest when one stop fails and still reports the failure", async () => {
    const log: string[] = [];
    const life = new Lifecycle("all", [recorder("a", log), recorder("b", log, "stop")]);
    await life.start();
    await expect(life.stop()).rejects.toThrow("b cannot stop");
    expect(log).toContain("stop a");
  });
});
