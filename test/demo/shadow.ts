import type { Claims } from "./claims.ts";
import type { DemoFleet } from "./fleet.ts";
import { narrator } from "./narrator.ts";

const phase = "1.2.0 as a shadow";

/** The same bad release, tried beside the one that serves: what it says is compared, and nobody is answered by it. */
export async function shadowBad(fleet: DemoFleet, claims: Claims): Promise<void> {
  narrator.chapter("1.2.0 again, beside 1.1.0 this time: compared, and answering nobody");
  fleet.enter(phase);
  const asked = [
    ...["--selector", "site in (berlin,porto)", "--version", "1.2.0", "--soak", "20s"],
    ...["--stages", "beside=role=canary,all=100%", "--shadow", "beside=50%", "--gate", "agreement>=80%"],
  ];
  const refused = await fleet.cli(["rollouts", "create", "--model", "digit-reader", "--slot", "reader", ...asked]);
  narrator.say(refused.stderr.split("\n")[0] ?? "");
  await fleet.acceptKnownBad("1.2.0", "it answers nobody while it is compared");
  claims.check(
    "1.2.0, which had failed, was rolled out again only by the word of a second person",
    refused.code === 5 && refused.stderr.includes("release_known_bad"),
  );
  const rollout = await fleet.rollOut(asked);
  const failed = rollout.stages[0]?.verdicts.find(({ kind }) => kind === "fail");
  if (failed !== undefined) narrator.say(`stopped by ${failed.gate}: ${failed.why}`);
  const tallies = [...fleet.loads.values()].map((load) => load.tally(phase));
  const [requests, correct, failures] = [
    tallies.reduce((sum, tally) => sum + tally.requests, 0),
    tallies.reduce((sum, tally) => sum + tally.correct, 0),
    tallies.reduce((sum, tally) => sum + tally.failures, 0),
  ];
  narrator.say(
    `meanwhile ${requests} requests, ${failures} failed, ${((100 * correct) / Math.max(requests, 1)).toFixed(1)} % read right`,
  );
  claims.check(
    "1.2.0 beside 1.1.0 was stopped because the two disagree, before anybody was answered by it",
    rollout.state === "rolled_back" &&
      failed?.gate === "agreement" &&
      rollout.stages[1]?.state === "skipped" &&
      requests > 100 &&
      failures === 0 &&
      correct / requests >= 0.94,
  );
}
