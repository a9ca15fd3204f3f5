import { mkdirSync, readdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { killNow, readChildren } from "../support/child-of.ts";
import { loadDigits } from "../support/digits.ts";
import { eventually } from "../support/eventually.ts";
import { AgentHarness, device, toSlot } from "./agent-harness.ts";
import { MiniPlane } from "./mini-plane.ts";

const digits = loadDigits("test");

/** A board of its own: one temperature sensor, none that says whether it throttles. */
class Board {
  readonly root: string;
  readonly #chip: string;

  constructor(root: string) {
    this.root = root;
    this.#chip = join(root, "sys/class/hwmon/hwmon0");
    mkdirSync(this.#chip, { recursive: true });
    writeFileSync(join(this.#chip, "name"), "coretemp\n");
  }

  set temperatureC(value: number) {
    const next = join(this.#chip, "next");
    writeFileSync(next, `${value * 1_000}\n`);
    renameSync(next, join(this.#chip, "temp1_input"));
  }
}

describe("an agent on a board that gets hot", () => {
  it("lets batch work wait while everybody else is served, also by a new serving process, and goes on when it is cool", async () => {
    await using plane = await MiniPlane.start();
    await using agent = new AgentHarness(plane);
    expect((await agent.enrol()).code).toBe(0);
    const board = new Board(join(agent.folder, "board"));
    board.temperatureC = 45;
    const folder = join(agent.folder, "work");
    const put = (name: string): void => {
      writeFileSync(join(folder, `${name}.part`), Buffer.from(Float32Array.from(digits[0]?.pixels ?? []).buffer));
      renameSync(join(folder, `${name}.part`), join(folder, "in", name));
    };
    mkdirSync(join(folder, "in"), { recursive: true });
    mkdirSync(agent.data, { recursive: true });
    const batch = [{ name: "digits", model: "digit-reader", folder }];
    const config = { profile: "generic-x86", hardwareRoot: board.root, heat: { warnC: 70 }, batch };
    writeFileSync(join(agent.data, "config.yaml"), JSON.stringify(config));
    await plane.desire(device, [toSlot(plane, "1.1.0")]);
    agent.run();
    await agent.waitForVersion("1.1.0");
    const answered = (name: string) => () => readdirSync(join(folder, "out")).includes(`${name}.json`);
    const heat = () =>
      plane.events.flatMap((event) => (event.kind === "throttled" ? [[event.throttled, event.reason]] : []));
    put("cool");
    await agent.waitFor("a cool device works", answered("cool"));
    expect(heat()).toEqual([]);

    board.temperatureC = 95;
    await agent.waitFor("the heat is noticed", () => heat().length === 1);
    expect(heat()).toEqual([[true, "at 95.0 °C; the limit is 70 °C"]]);
    put("hot");
    // Asked for and not answered: by then the job has looked at its folder twice.
    const windows = plane.telemetry.length;
    await agent.waitFor("three more windows", () => plane.telemetry.length >= windows + 3);
    expect(answered("hot")()).toBe(false);
    expect((await agent.infer(0)).right).toBe(true);

    for (const pid of readChildren(agent.process.pid)) killNow(pid);
    await eventually("a new process serves", async () => (await agent.infer(0)).right);
    const later = plane.telemetry.length;
    board.temperatureC = 67;
    await agent.waitFor("three windows of not quite cool", () => plane.telemetry.length >= later + 3);
    expect(answered("hot")()).toBe(false);

    board.temperatureC = 60;
    await agent.waitFor("it goes on", answered("hot"));
    // The answer lies in the folder, and the event is on its way.
    await agent.waitFor("its word", () => heat().length > 1);
    expect(heat().slice(1)).toEqual([[false, "at 60.0 °C"]]);
  }, 90_000);
});
