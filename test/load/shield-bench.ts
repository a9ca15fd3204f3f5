import { BrokerRivals } from "../support/broker-rivals.ts";
import type { MeasuredBroker } from "../support/broker-process.ts";
import { hostileKinds, type HostileKind } from "../support/hostile-clients.ts";
import { measureHostile } from "../support/hostile-memory.ts";
import { findLeftConnected, malformedKinds } from "../support/left-connected.ts";
import { findMosquitto } from "../support/mosquitto.ts";
import type { Row } from "./measure.ts";

const strangers = 200;

interface Rivals {
  readonly rivals: BrokerRivals;
  /** Where Mosquitto is. */
  readonly binary: string;
}

async function benchStrangers(both: Rivals, kind: HostileKind): Promise<Row> {
  const { credentials } = both.rivals;
  const { own, theirs } = await both.rivals.measureBoth(both.binary, (broker) =>
    measureHostile(broker, { kind, credentials, count: strangers }),
  );
  return {
    name: `memory for each of ${strangers} strangers: ${kind.name}`,
    value: `${(own / 1_024).toFixed(1)} kB`,
    against: `${(theirs / 1_024).toFixed(1)} kB of Mosquitto`,
    ratio: (own / theirs).toFixed(3),
    bound: "≤ 64 kB and ≤ 1",
    held: own <= 65_536 && own <= theirs,
  };
}

async function benchSlowReader(both: Rivals): Promise<Row> {
  const work = (broker: MeasuredBroker, from: "plane" | "client") => both.rivals.measureSlowReader(broker, from);
  const { own, theirs } = await both.rivals.measureBoth(both.binary, work);
  const bare = await both.rivals.measureBare(work);
  const megabytes = (bytes: number) => `${(bytes / 1_048_576).toFixed(1)} MB`;
  return {
    name: "memory for a device that reads nothing of 94 MB",
    value: megabytes(own),
    against: `${megabytes(theirs)} of Mosquitto, ${megabytes(bare)} of bare aedes`,
    ratio: (own / theirs).toFixed(3),
    bound: "≤ 1",
    held: own <= theirs,
  };
}

async function benchMalformed(both: Rivals): Promise<Row> {
  const { credentials } = both.rivals;
  const work = async (broker: MeasuredBroker) => (await findLeftConnected(broker.port, credentials)).length;
  const { own, theirs } = await both.rivals.measureBoth(both.binary, work);
  const bare = await both.rivals.measureBare(work);
  return {
    name: `kinds of malformed packet, of ${malformedKinds}, after which the connection is served on`,
    value: String(own),
    against: `${theirs} of Mosquitto, ${bare} of bare aedes`,
    ratio: theirs === 0 ? "-" : (own / theirs).toFixed(3),
    bound: "0",
    held: own === 0,
  };
}

/** What hostile clients cost the embedded broker, against Mosquitto behind the same TLS and with its own defaults. */
export async function benchShield(): Promise<Row[]> {
  const binary = findMosquitto();
  if (binary === undefined) {
    const missing = { value: "-", against: "Mosquitto is not installed", ratio: "-", bound: "≤ 1", held: false };
    return [{ name: "what hostile clients cost", ...missing }];
  }
  const both = { rivals: await BrokerRivals.create(), binary };
  const rows: Row[] = [];
  for (const kind of hostileKinds) rows.push(await benchStrangers(both, kind));
  return [...rows, await benchSlowReader(both), await benchMalformed(both)];
}
