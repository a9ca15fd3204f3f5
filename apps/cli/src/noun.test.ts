import { describe, expect, it } from "vitest";
import { loadCommands } from "./commands/index.ts";
import { toNoun } from "./noun.ts";
import { globalFlags } from "./program.ts";

/** Loaded once, before any test has its time. */
const all = await loadCommands("devcies");

describe("the noun of a command line", () => {
  it.each([
    [["devices", "list"], "devices"],
    [["-o", "json", "devices", "list"], "devices"],
    [["--output=json", "-q", "--context", "rollouts", "devices", "list"], "devices"],
    [["--no-headers", "apply", "-f", "devices.yaml"], "apply"],
    [["--help"], null],
    [["-q", "--help", "devices", "list"], null],
    [["devices", "--help"], "devices"],
    [[], null],
  ] as const)("%j is %s", (args, noun) => {
    expect(toNoun(args, globalFlags)).toBe(noun);
  });

  it("brings its own commands alone, and an unknown one brings all, each of them once", async () => {
    const paths = all.map(({ noun, verb }) => `${noun} ${verb}`);
    expect(new Set(paths).size).toBe(paths.length);
    expect(await loadCommands(null)).toEqual(all);
    for (const noun of new Set(all.map((command) => command.noun))) {
      const own = await loadCommands(noun);
      const loaded = noun === "login" || noun === "logout" ? ["login", "logout"] : [noun];
      expect(own).toEqual(all.filter((command) => loaded.includes(command.noun)));
    }
    expect(await loadCommands("toString")).toEqual(all);
  });
});
