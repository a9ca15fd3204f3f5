import { setTimeout as sleep } from "node:timers/promises";
import { mlpModel } from "@fairlead/inference/testing";
import { imageModel, imageShape } from "./bench-models.ts";
import { toQuantile, type Row } from "./measure.ts";
import { RawConnection, toHttpRequest } from "./raw-client.ts";
import { ServingProcess } from "./serving-process.ts";

/** 16 MiB of weights for one row of 256 bytes: reading the weights is what a run costs, and rows of one run share it. */
const perceptron = () => mlpModel({ widths: [64, 2_048, 1_980, 10], softmax: false });

function toBinaryRequest(model: string, input: string, shape: readonly number[]): Buffer {
  const values = Float32Array.from(
    { length: shape.reduce((count, dimension) => count * dimension, 1) },
    (_, index) => (index % 255) / 255,
  );
  const bytes = Buffer.from(values.buffer);
  const head = { name: input, shape, datatype: "FP32", parameters: { binary_data_size: bytes.length } };
  const json = Buffer.from(JSON.stringify({ inputs: [head], parameters: { binary_data_output: true } }));
  const headers = { "inference-header-content-length": String(json.length) };
  return toHttpRequest(`/v2/models/${model}/infer`, headers, Buffer.concat([json, bytes]));
}

/** Clients that each ask again as soon as they are answered. */
class Crowd {
  readonly #connections: RawConnection[];
  readonly #request: Buffer;

  constructor(port: number, count: number, request: Buffer) {
    this.#connections = Array.from({ length: count }, () => new RawConnection("127.0.0.1", port));
    this.#request = request;
  }

  /** Answers in that time. */
  async drive(durationMs: number): Promise<number> {
    const endAt = performance.now() + durationMs;
    let answered = 0;
    const one = async (connection: RawConnection) => {
      while (performance.now() < endAt) {
        await ask(connection, this.#request);
        answered += 1;
      }
    };
    await Promise.all(this.#connections.map(one));
    return answered;
  }

  close(): void {
    for (const connection of this.#connections) connection.close();
  }
}

/** Milliseconds that one answer took. */
async function ask(connection: RawConnection, request: Buffer): Promise<number> {
  const startedAt = performance.now();
  const status = await connection.send(request);
  if (status !== 200) throw new Error(`the serving process answered ${status}`);
  return performance.now() - startedAt;
}

/** Microseconds of run time by load since the last call. */
async function takeBusyUs(serving: ServingProcess): Promise<Map<string, number>> {
  const { loads } = (await serving.request({ kind: "collect" })) as { loads: { loadId: string; busyUs: number }[] };
  return new Map(loads.map(({ loadId, busyUs }) => [loadId, busyUs]));
}

export async function benchSharing(): Promise<Row[]> {
  return [...(await benchJoining()), await benchQuota(), ...(await benchBackfill())];
}

const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);

/** The same model with and without joined rows, in turns: 64 clients at once, then one alone. */
async function benchJoining(): Promise<Row[]> {
  await using serving = await new ServingProcess().start({ lanes: 1 });
  await serving.serve("plain", perceptron());
  await serving.serve("joined", perceptron(), { maxBatchSize: 64, maxQueueDelayMs: 2 });
  const names = ["plain", "joined"] as const;
  const requests = { plain: toBinaryRequest("plain", "x", [1, 64]), joined: toBinaryRequest("joined", "x", [1, 64]) };
  const crowds = {
    plain: new Crowd(serving.port, 64, requests.plain),
    joined: new Crowd(serving.port, 64, requests.joined),
  };
  const answered = { plain: [] as number[], joined: [] as number[] };
  for (const name of names) await crowds[name].drive(500);
  for (let round = 0; round < 4; round += 1)
    for (const name of names) answered[name].push(await crowds[name].drive(1_500));
  for (const name of names) crowds[name].close();

  const connection = new RawConnection("127.0.0.1", serving.port);
  const lone = { plain: [] as number[], joined: [] as number[] };
  for (let round = 0; round < 620; round += 1) {
    for (const name of names) {
      const tookMs = await ask(connection, requests[name]);
      if (round >= 20) lone[name].push(tookMs);
    }
  }
  connection.close();
  const perSecond = { plain: sum(answered.plain) / 6, joined: sum(answered.joined) / 6 };
  const p50 = { plain: toQuantile(lone.plain, 0.5), joined: toQuantile(lone.joined, 0.5) };
  const [gain, cost] = [perSecond.joined / perSecond.plain, p50.joined / p50.plain];
  return [
    {
      name: "perceptron of 16 MiB, rows joined, 64 connections",
      value: `${Math.round(perSecond.joined)} requests/s`,
      against: `${Math.round(perSecond.plain)} requests/s one by one`,
      ratio: gain.toFixed(2),
      bound: "≥ 2",
      held: gain >= 2,
    },
    {
      name: "the same, one client alone, p50",
      value: `${p50.joined.toFixed(2)} ms`,
      against: `${p50.plain.toFixed(2)} ms without joining`,
      ratio: cost.toFixed(3),
      bound: "≤ 1.05",
      held: cost <= 1.05,
    },
  ];
}

/** The same work on two slots with 70 and 30 percent of one lane. */
async function benchQuota(): Promise<Row> {
  await using serving = await new ServingProcess().start({ lanes: 1 });
  const shares = { first: 0.7, second: 0.3 };
  const names = ["first", "second"] as const;
  for (const name of names) await serving.serve(name, perceptron(), { quotaShare: shares[name] });
  const crowds = names.map((name) => new Crowd(serving.port, 16, toBinaryRequest(name, "x", [1, 64])));
  await Promise.all(crowds.map((crowd) => crowd.drive(500)));
  await takeBusyUs(serving);
  await Promise.all(crowds.map((crowd) => crowd.drive(4_000)));
  const busy = await takeBusyUs(serving);
  for (const crowd of crowds) crowd.close();
  const total = sum([...busy.values()]);
  const measured = names.map((name) => (busy.get(name) ?? 0) / total);
  const worst = Math.max(...names.map((name, index) => Math.abs((measured[index] ?? 0) / shares[name] - 1)));
  return {
    name: "device time of two slots, same work, by quota",
    value: measured.map((share) => `${(100 * share).toFixed(1)} %`).join(" / "),
    against: "70 % / 30 %",
    ratio: (1 + worst).toFixed(3),
    bound: "≤ 1.05",
    held: worst <= 0.05,
  };
}

const realtimePeriodMs = 15;
/** Of one batch request. Its run reads the model's 16 MiB anyway: fewer rows make more of the time hops between threads. */
const archiveRows = 16;

/** A realtime model of 5 ms at a steady pace, with and without batch work beside it, in turns. */
async function benchBackfill(): Promise<Row[]> {
  await using serving = await new ServingProcess().start({ lanes: 1 });
  await serving.serve("camera", imageModel, { priority: "realtime" });
  await serving.serve("archive", perceptron(), { priority: "batch" });
  const connection = new RawConnection("127.0.0.1", serving.port);
  const request = toBinaryRequest("camera", "image", imageShape);
  const archive = new Crowd(serving.port, 4, toBinaryRequest("archive", "x", [archiveRows, 64]));
  const pace = async (durationMs: number): Promise<number[]> => {
    const times: number[] = [];
    const startedAt = performance.now();
    for (let next = startedAt; next < startedAt + durationMs; next += realtimePeriodMs) {
      await sleep(Math.max(0, next - performance.now()));
      times.push(await ask(connection, request));
    }
    return times;
  };
  await Promise.all([pace(500), archive.drive(500)]);
  const alone: number[] = [];
  const beside: number[] = [];
  const busy = { alone: 0, beside: 0, wallMs: 0 };
  for (let round = 0; round < 20; round += 1) {
    await takeBusyUs(serving);
    alone.push(...(await pace(1_000)));
    busy.alone += sum([...(await takeBusyUs(serving)).values()]);
    const startedAt = performance.now();
    beside.push(...(await Promise.all([pace(1_000), archive.drive(1_000)]))[0]);
    busy.wallMs += performance.now() - startedAt;
    busy.beside += sum([...(await takeBusyUs(serving)).values()]);
  }
  connection.close();
  archive.close();
  const [without, together] = [toQuantile(alone, 0.99), toQuantile(beside, 0.99)];
  const utilisation = busy.beside / 1_000 / busy.wallMs;
  return [
    {
      name: "realtime p99 with batch work in its gaps",
      value: `${together.toFixed(2)} ms`,
      against: `${without.toFixed(2)} ms without`,
      ratio: (together / without).toFixed(3),
      bound: "≤ 1.15",
      held: together / without <= 1.15,
    },
    {
      name: "run time on the one lane meanwhile",
      value: `${(100 * utilisation).toFixed(1)} %`,
      against: `${((100 * busy.alone) / 1_000 / busy.wallMs).toFixed(1)} % without`,
      ratio: utilisation.toFixed(2),
      bound: "≥ 0.9",
      held: utilisation >= 0.9,
    },
  ];
}
