import { beforeAll, describe, expect, it } from "vitest";
import { OwnedProcess } from "../support/process.ts";

/** The demonstration is the scenario: real plane, six real agents, real digits. Each claim is looked for by name. */
describe("the story of npm run demo", () => {
  let code: number | string = "not run";
  let output = "";

  beforeAll(async () => {
    await using demo = new OwnedProcess({ name: "demo", entry: "test/demo/main.ts", args: [] });
    code = await demo.exited();
    output = demo.output;
  }, 400_000);

  it.each([
    "1.0.0 is installed on all six devices",
    "1.1.0 passed its gates in three stages",
    "every stage of 1.1.0 was judged on live requests",
    "an archive was read in the idle gaps, and not one live request failed for it",
    "the archive filled the gaps: its device was busier than another, and live requests waited hardly longer there",
    "berlin-1 measured three builds of one version, took one that reads right, and names the losers",
    "porto-3 wanted an accelerator for one slot, and says how much of the model really runs there",
    "every device proves where its model runs",
    "1.2.0 was stopped in its first stage by the confidence gate",
    "no later stage of 1.2.0 began",
    "all touched devices are back on 1.1.0",
    "1.2.0, which had failed, was rolled out again only by the word of a second person",
    "1.2.0 beside 1.1.0 was stopped because the two disagree, before anybody was answered by it",
    "a release of a revoked publisher was refused by porto-3, which had been asked to run it before",
    "a release of a revoked publisher was refused, by the plane before anybody was asked and by what devices ask",
    "the publisher that changed its key signs on",
    "the overwritten file was detected and the device quarantined",
    "the artifact was fetched again, verified and the device released",
    "from the overwritten byte to a healed device it took less than a minute",
    "every device says what an inference costs it in joules, and how it knows",
    "every device was asked in every phase, and not one request failed but where a file was bad",
    "1.1.0 reads more digits right than 1.0.0 on every device",
    "every device reads at least 94 % right after the rollback and after the healing",
  ])("holds: %s", (claim) => {
    expect(output, output.slice(-4_000)).toContain(`✔ ${claim}`);
  });

  it("ends with exit code 0", () => {
    expect(code, output.slice(-4_000)).toBe(0);
  });
});
