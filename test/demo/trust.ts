import { digitModelPath } from "../support/digits.ts";
import { eventually } from "../support/eventually.ts";
import type { Claims } from "./claims.ts";
import { versions, type DemoFleet } from "./fleet.ts";
import { narrator } from "./narrator.ts";

const victims = ["berlin-1", "porto-1"];

async function done(fleet: DemoFleet, ...args: string[]): Promise<void> {
  const answer = await fleet.cli(args);
  if (answer.code !== 0) throw new Error(`${args.join(" ")}: ${answer.stderr}`);
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
  await done(fleet, "trust", "revoke", "contractor");
  await done(fleet, "releases", "publish");
  fleet.enter("revoked");
  const rollout = fleet.rollOut([
    ...["--selector", "role=canary", "--version", "1.3.0", "--stages", "all=100%"],
    ...["--soak", "1s", "--device-soak", "1s", "--stage-timeout", "8s"],
  ]);
  const reasons = await eventually("the devices refuse", async () => {
    const found = await Promise.all(victims.map((name) => fleet.plane.device(name)));
    const texts = found.map((device) => device.reported?.refusal?.reason ?? "");
    return texts.every((text) => text.includes("no publisher vouches")) && texts;
  });
  narrator.live.done();
  narrator.say(`${victims.join(", ")}: ${reasons[0]}`);
  const ended = await rollout;
  const running = await Promise.all(victims.map((name) => fleet.plane.device(name)));
  claims.check(
    "a release of a revoked publisher was refused by every device that was asked to run it",
    ended.state !== "succeeded" &&
      running.every(({ slots }) => slots.some((slot) => slot.running?.version === "1.1.0")),
  );
  const last = (await fleet.cli(["releases", "sign", "digit-reader", "1.1.0"])).code;
  claims.check("the publisher that changed its key signs on", last === 0);
}
