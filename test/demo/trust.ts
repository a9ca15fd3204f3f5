import type { Release, RolloutStatus } from "@fairlead/protocol";
import { runCliJson } from "../support/cli.ts";
import type { TestDevice } from "../support/device.ts";
import { digitModelPath } from "../support/digits.ts";
import { eventually } from "../support/eventually.ts";
import type { Claims } from "./claims.ts";
import { versions, type DemoFleet } from "./fleet.ts";
import { narrator } from "./narrator.ts";

/** Sleeps while the contractor's key is lost. */
const sleeper = "porto-3";
const canaries = ["berlin-1", "porto-1"];

async function done(fleet: DemoFleet, ...args: string[]): Promise<void> {
  const answer = await fleet.cli(args);
  if (answer.code !== 0) throw new Error(`${args.join(" ")}: ${answer.stderr}`);
}

/** A device whose supervisor stands still, as in a tunnel; what serves goes on serving. Disposing wakes it. */
class Sleep implements Disposable {
  readonly #device: TestDevice | undefined;

  constructor(fleet: DemoFleet, name: string) {
    this.#device = fleet.devices.find((device) => device.name === name);
    this.#device?.process.child.kill("SIGSTOP");
  }

  wake(): void {
    this.#device?.process.child.kill("SIGCONT");
  }

  [Symbol.dispose](): void {
    this.wake();
  }
}

async function push(fleet: DemoFleet, version: string): Promise<void> {
  const file = digitModelPath(versions[1].file);
  const golden = digitModelPath(`golden-${versions[1].version}.json`);
  const which = ["--model", "digit-reader", "--version", version, "--golden", golden];
  await done(fleet, "models", "push", file, ...which, "--classification", "probabilities:0,1,2,3,4,5,6,7,8,9");
}

/** A team joins, releases, and loses its key: whoever holds the plane and that key can make no device run anything. */
export async function refuseRevoked(fleet: DemoFleet, claims: Claims): Promise<void> {
  narrator.chapter("keys: the publisher changes its key; another publisher is revoked after it signed 1.3.0");
  await done(fleet, "keys", "generate", "publisher-2", "contractor");
  await done(fleet, "keys", "rotate", "publisher", "--add", "publisher-2", "--remove", "publisher");
  await done(fleet, "trust", "delegate", "contractor", "--key", "contractor", "--models", "digit-*");
  await done(fleet, "releases", "publish");
  await push(fleet, "1.3.0");
  await done(fleet, "releases", "sign", "digit-reader", "1.3.0", "--as", "contractor");
  fleet.enter("revoked");
  using asleep = new Sleep(fleet, sleeper);
  const create = ["rollouts", "create", "--model", "digit-reader", "--slot", "reader", "--selector", "role=lab"];
  const policy = ["--stages", "all=100%", "--soak", "1s", "--device-soak", "1s"];
  narrator.command([...create, "--version", "1.3.0", ...policy]);
  const { rolloutId } = await runCliJson<RolloutStatus>(
    [...create, "--version", "1.3.0", ...policy],
    fleet.plane.cliEnv,
  );
  await eventually("the sleeper is offered 1.3.0", async () => {
    const { stages } = await fleet.plane.rollout(rolloutId);
    return (stages[0]?.counts.offered ?? 0) > 0;
  });
  await done(fleet, "trust", "revoke", "contractor");
  await done(fleet, "releases", "publish");
  asleep.wake();
  const refusal = await eventually("the device refuses", async () => {
    const { reported } = await fleet.plane.device(sleeper);
    return reported?.refusal?.reason.includes("no publisher vouches") === true && reported.refusal;
  });
  narrator.say(`${sleeper}, awake again: ${refusal.code}: ${refusal.reason}`);
  await done(fleet, "rollouts", "abort", rolloutId, "--yes");
  const where = ["--model", "digit-reader", "--slot", "reader", "--selector", "role=canary"];
  const asked = await fleet.cli(["rollouts", "create", ...where, "--version", "1.3.0", "--stages", "all=100%"]);
  narrator.say(asked.stderr.split("\n")[0] ?? "");
  const { items } = await fleet.plane.get<{ items: { signed: Release }[] }>("/api/v1/releases?limit=100");
  const released = items.find(({ signed }) => signed.content.version === "1.3.0")?.signed.releaseId ?? "none";
  // With the updater that devices run, from the root that they trust.
  const judged = await fleet.cli(["releases", "verify", released]);
  narrator.say(judged.stderr.split("\n")[0] ?? "");
  const running = await Promise.all([sleeper, ...canaries].map((name) => fleet.plane.device(name)));
  const isOn = (version: string) =>
    running.every(({ slots }) => slots.some(({ running: is }) => is?.version === version));
  claims.check(
    `a release of a revoked publisher was refused by ${sleeper}, which had been asked to run it before`,
    refusal.reason.includes("target_unknown: no publisher vouches") && isOn("1.1.0"),
  );
  claims.check(
    "a release of a revoked publisher was refused, by the plane before anybody was asked and by what devices ask",
    asked.stderr.includes("release_not_vouched") &&
      judged.code !== 0 &&
      judged.stderr.includes("trust_refused") &&
      isOn("1.1.0"),
  );
  const last = (await fleet.cli(["releases", "sign", "digit-reader", "1.1.0"])).code;
  claims.check("the publisher that changed its key signs on", last === 0);
}
