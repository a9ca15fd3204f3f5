import type { TLSSocket } from "node:tls";
import { BrokerProcess } from "../support/broker-process.ts";
import { createBenchFleet, openSession, publishBurst, tenant, type BenchFleet } from "./broker-clients.ts";
import { toQuantile, type Row } from "./measure.ts";
import { readCpuMs } from "./process-cost.ts";

const kinds = ["product", "bare"] as const;
type Kind = (typeof kinds)[number];

async function openSessions(port: number, fleet: BenchFleet, count: number): Promise<TLSSocket[]> {
  const sockets: TLSSocket[] = [];
  for (let index = 0; index < count; index += 16) {
    const some = Array.from({ length: Math.min(16, count - index) }, (_, at) => openSession(port, fleet, index + at));
    sockets.push(...(await Promise.all(some)));
  }
  return sockets;
}

/** Seconds of each kind, one after the other in every round; the first rounds are not counted. */
async function timeInTurns(rounds: number, work: (kind: Kind) => Promise<void>): Promise<Record<Kind, number[]>> {
  const seconds: Record<Kind, number[]> = { product: [], bare: [] };
  for (let round = 0; round <= rounds; round += 1) {
    for (const kind of round % 2 === 0 ? kinds : kinds.toReversed()) {
      const begunMs = performance.now();
      await work(kind);
      if (round > 0) seconds[kind].push((performance.now() - begunMs) / 1_000);
    }
  }
  return seconds;
}

function toRateRow(name: string, unit: string, rates: Record<Kind, number>): Row {
  const ratio = rates.product / rates.bare;
  return {
    name,
    value: `${Math.round(rates.product)} ${unit}/s`,
    against: `${Math.round(rates.bare)} ${unit}/s through bare aedes with TLS`,
    ratio: ratio.toFixed(3),
    bound: "≥ 0.9",
    held: ratio >= 0.9,
  };
}

type Brokers = Readonly<Record<Kind, BrokerProcess>>;

async function benchSetUp(brokers: Brokers, fleet: BenchFleet): Promise<Row> {
  const sessions = 64;
  const seconds = await timeInTurns(5, async (kind) => {
    const sockets = await openSessions(brokers[kind].port, fleet, sessions);
    for (const socket of sockets) socket.destroy();
  });
  const rateOf = (kind: Kind) => sessions / toQuantile(seconds[kind], 0.5);
  const rates = { product: rateOf("product"), bare: rateOf("bare") };
  return toRateRow("mutual TLS sessions, TCP to CONNACK, 16 at once", "sessions", rates);
}

/** Many bursts to a turn: one alone takes 50 ms, and says more of what else the machine did then than of the broker. */
async function benchThroughput(brokers: Brokers, fleet: BenchFleet): Promise<Row[]> {
  const clients = 8;
  const load = { count: 500, payloadBytes: 256 };
  const sockets = {
    product: await openSessions(brokers.product.port, fleet, clients),
    bare: await openSessions(brokers.bare.port, fleet, clients),
  };
  const repeats = 5;
  const messages = clients * load.count * repeats;
  const burst = async (kind: Kind) => {
    const bursts = sockets[kind].map((socket, index) => publishBurst(socket, fleet.devices[index]?.name ?? "", load));
    await Promise.all(bursts);
  };
  await timeInTurns(5, burst);
  const cpuMs: Record<Kind, number[]> = { product: [], bare: [] };
  const seconds = await timeInTurns(40, async (kind) => {
    const before = readCpuMs(brokers[kind].pid);
    // Many to a reading: the system counts in steps of 10 ms.
    for (let repeat = 0; repeat < repeats; repeat += 1) await burst(kind);
    cpuMs[kind].push(readCpuMs(brokers[kind].pid) - before);
  });
  for (const socket of [...sockets.product, ...sockets.bare]) socket.destroy();
  const microsecondsOf = (kind: Kind) => (toQuantile(cpuMs[kind], 0.5) * 1_000) / messages;
  const [own, bare] = [microsecondsOf("product"), microsecondsOf("bare")];
  const rateOf = (kind: Kind) => messages / toQuantile(seconds[kind], 0.5);
  const rates = { product: rateOf("product"), bare: rateOf("bare") };
  const what = "publications at QoS 1, 256 bytes, 8 devices";
  return [
    toRateRow(what, "messages", rates),
    {
      ...{ name: `processor time of the broker, ${what} (for information)`, value: `${own.toFixed(1)} µs each` },
      ...{ against: `${bare.toFixed(1)} µs of bare aedes with TLS`, ratio: (own / bare).toFixed(3), bound: "no bound" },
      held: true,
    },
  ];
}

/** Resident memory that idle sessions hold, after garbage is collected; in a fresh process each time. */
async function measureIdleBytes(kind: Kind, fleet: BenchFleet): Promise<number> {
  await using broker = await startBroker(kind, fleet);
  const first = await openSessions(broker.port, fleet, 16);
  const before = await broker.settledBytes();
  const sockets = await openSessions(broker.port, fleet, fleet.devices.length);
  const bytes = (await broker.settledBytes()) - before;
  for (const socket of [...first, ...sockets]) socket.destroy();
  return bytes / (fleet.devices.length - first.length);
}

async function startBroker(kind: Kind, { tls }: BenchFleet): Promise<BrokerProcess> {
  return await new BrokerProcess().start({ kind, tls, tenant, limits: {} });
}

async function benchIdleMemory(fleet: BenchFleet): Promise<Row> {
  const bytes: Record<Kind, number[]> = { product: [], bare: [] };
  for (let round = 0; round < 3; round += 1) {
    for (const kind of kinds) bytes[kind].push(await measureIdleBytes(kind, fleet));
  }
  const kilobytesOf = (kind: Kind) => toQuantile(bytes[kind], 0.5) / 1_024;
  const [own, bare] = [kilobytesOf("product"), kilobytesOf("bare")];
  return {
    name: `resident memory of an idle session, ${fleet.devices.length} of them`,
    value: `${own.toFixed(1)} kB`,
    against: `${bare.toFixed(1)} kB of bare aedes with TLS`,
    ratio: `+${(own - bare).toFixed(1)} kB`,
    bound: "≤ 4 kB more",
    held: own - bare <= 4,
  };
}

/** What the guards around the embedded broker cost, against the same library without them; in turns, in one run. */
export async function benchBroker(): Promise<Row[]> {
  const fleet = await createBenchFleet(300);
  const rows: Row[] = [];
  {
    await using product = await startBroker("product", fleet);
    await using bare = await startBroker("bare", fleet);
    rows.push(await benchSetUp({ product, bare }, fleet), ...(await benchThroughput({ product, bare }, fleet)));
  }
  return [...rows, await benchIdleMemory(fleet)];
}
