import { beforeAll, describe, expect, it } from "vitest";
import { BrokerRivals, type Work } from "../support/broker-rivals.ts";
import { hostileKinds } from "../support/hostile-clients.ts";
import { measureHostile } from "../support/hostile-memory.ts";
import { findLeftConnected } from "../support/left-connected.ts";
import { findMosquitto } from "../support/mosquitto.ts";

const mosquitto = findMosquitto();

describe.skipIf(mosquitto === undefined)("the embedded broker beside Mosquitto (needs mosquitto)", () => {
  let rivals: BrokerRivals;
  beforeAll(async () => {
    rivals = await BrokerRivals.create();
  });

  const measure = <Result>(work: Work<Result>) => rivals.measureBoth(mosquitto ?? "", work);

  it("A24 makes less of a CONNECT that announces 256 MB", async () => {
    const kind = hostileKinds.find(({ name }) => name === "a CONNECT that announces 256 MB, then 512 kB");
    if (kind === undefined) throw new Error("there is no such kind");
    const { credentials } = rivals;
    const { own, theirs } = await measure((broker) => measureHostile(broker, { kind, credentials, count: 200 }));
    expect(own).toBeLessThanOrEqual(65_536);
    expect(own).toBeLessThanOrEqual(theirs);
  });

  it("A32 keeps less for a device that reads nothing while others publish to it", async () => {
    const { own, theirs } = await measure((broker, from) => rivals.measureSlowReader(broker, from));
    expect(own).toBeLessThanOrEqual(theirs);
  });

  it("A34 serves no connection after a malformed packet, of whatever kind; Mosquitto serves some", async () => {
    const { own, theirs } = await measure((broker) => findLeftConnected(broker.port, rivals.credentials));
    expect(own).toEqual([]);
    expect(theirs.length).toBeGreaterThan(0);
  });
});
