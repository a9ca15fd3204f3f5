import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Schedule } from "./schedule.ts";
import type { Run } from "./schedule-state.ts";
import { batchLevel, defaultSettings, toLevel, type ModelSettings, type Priority } from "./settings.ts";

interface Request {
  readonly id: number;
  readonly model: string;
  readonly atMs: number;
  readonly priority: Priority;
  readonly client: string;
  readonly rows: number;
  readonly key: string | null;
  readonly timeoutMs: number;
}

interface Device {
  readonly lanes: number;
  readonly models: readonly { readonly settings: Partial<ModelSettings>; readonly instances: number }[];
  readonly requests: readonly Request[];
  readonly throttled: boolean;
}

interface Begun {
  readonly run: Run<Request>;
  readonly nowMs: number;
  readonly foregroundWaiting: readonly Request[];
  readonly foregroundRunning: readonly Run<Request>[];
}

const modelNames = ["a", "b", "c"];
const request = fc.record({
  model: fc.constantFrom(...modelNames),
  atMs: fc.integer({ min: 0, max: 60 }),
  priority: fc.constantFrom<Priority>("realtime", "normal", "batch"),
  client: fc.constantFrom("", "x", "y"),
  rows: fc.integer({ min: 1, max: 6 }),
  key: fc.constantFrom("k", "l", null),
  timeoutMs: fc.constantFrom(Number.POSITIVE_INFINITY, 3, 20),
});
const device: fc.Arbitrary<Device> = fc.record({
  lanes: fc.integer({ min: 1, max: 3 }),
  models: fc.array(
    fc.record({
      settings: fc.record({
        maxBatchSize: fc.constantFrom(1, 4, 16),
        maxQueueDelayMs: fc.constantFrom(0, 2),
        queueLimit: fc.constantFrom(3, 64),
        quotaShare: fc.constantFrom(null, 0.2, 0.5),
        priority: fc.constantFrom<Priority>("realtime", "normal", "batch"),
      }),
      instances: fc.integer({ min: 1, max: 2 }),
    }),
    { minLength: 3, maxLength: 3 },
  ),
  requests: fc
    .array(request, { maxLength: 80 })
    .map((list) => list.toSorted((left, right) => left.atMs - right.atMs).map((one, id) => ({ ...one, id }))),
  throttled: fc.boolean(),
});

const slotPriority = (parts: Device, model: string): Priority =>
  parts.models[modelNames.indexOf(model)]!.settings.priority ?? "normal";
const levelOf = (parts: Device, { model, priority }: Request) => toLevel(priority, slotPriority(parts, model));

/** Plays arrivals against the schedule on a virtual clock; a run of one row takes 1 ms and each more row 0.1 ms. */
function play(parts: Device) {
  const { lanes, models, requests, throttled } = parts;
  const schedule = new Schedule<Request>({ lanes });
  schedule.setThrottled(throttled);
  for (const [index, { settings, instances }] of models.entries()) {
    const name = modelNames[index]!;
    schedule.add(name, `slot-${name}`, { settings: { ...defaultSettings, ...settings }, instances });
  }
  const begun: Begun[] = [];
  const ends = new Map<number, string[]>();
  const end = (id: number, how: string) => ends.set(id, [...(ends.get(id) ?? []), how]);
  const waiting = new Map<number, Request>();
  const running = new Map<Run<Request>, number>();
  const arrivals = [...requests];
  const instanceEndsMs = new Map<string, number>();
  let nowMs = 0;
  for (let step = 0; step < 5_000; step += 1) {
    while (arrivals[0] !== undefined && arrivals[0].atMs <= nowMs) {
      const one = arrivals.shift()!;
      const { model, priority, client, rows, key, timeoutMs } = one;
      const ask = { modelId: model, payload: one, priority, client, rows, joinKey: key };
      const answer = schedule.enqueue({ ...ask, expiresMs: nowMs + timeoutMs }, nowMs);
      if (answer.kind === "refused") end(one.id, answer.code);
      else waiting.set(one.id, one);
      if (answer.kind === "displaced") {
        end(answer.ticket.payload.id, answer.code);
        waiting.delete(answer.ticket.payload.id);
      }
    }
    let untilMs = Number.POSITIVE_INFINITY;
    for (;;) {
      const next = schedule.next(nowMs);
      if (next.kind === "wait") {
        untilMs = next.untilMs;
        break;
      }
      if (next.kind === "expired") {
        for (const { payload, expiresMs } of next.tickets) {
          expect(expiresMs).toBeLessThanOrEqual(nowMs);
          end(payload.id, "expired");
          waiting.delete(payload.id);
        }
        continue;
      }
      const { run } = next;
      for (const { payload } of run.tickets) waiting.delete(payload.id);
      begun.push({
        run,
        nowMs,
        foregroundWaiting: [...waiting.values()].filter((one) => levelOf(parts, one) !== batchLevel),
        foregroundRunning: [...running.keys()].filter(({ level }) => level !== batchLevel),
      });
      const place = `${run.modelId}/${run.instance}`;
      const startMs = Math.max(nowMs, instanceEndsMs.get(place) ?? 0);
      const endMs = startMs + 1 + (run.rows - 1) / 10;
      instanceEndsMs.set(place, endMs);
      running.set(run, endMs);
    }
    const nextMs = Math.min(arrivals[0]?.atMs ?? Number.POSITIVE_INFINITY, untilMs, ...running.values());
    if (nextMs === Number.POSITIVE_INFINITY) break;
    expect(nextMs).toBeGreaterThanOrEqual(nowMs);
    nowMs = nextMs;
    for (const [run, endMs] of running) {
      if (endMs > nowMs) continue;
      running.delete(run);
      schedule.finish(run, (1 + (run.rows - 1) / 10) * 1_000);
      for (const { payload } of run.tickets) end(payload.id, "ran");
    }
  }
  return { begun, ends, waiting, schedule };
}

describe("the schedule", () => {
  it("gives every request exactly one end, unless the device throttles and it is batch work", () => {
    fc.assert(
      fc.property(device, (parts) => {
        const { ends, waiting, schedule } = play(parts);
        for (const one of parts.requests) {
          if (parts.throttled && levelOf(parts, one) === batchLevel && waiting.has(one.id)) continue;
          expect(ends.get(one.id)).toHaveLength(1);
        }
        if (waiting.size === 0) for (const name of modelNames) expect(schedule.pending(name)).toBe(0);
      }),
    );
  });

  it("begins batch work only while nothing else waits or runs, and none while the device throttles", () => {
    fc.assert(
      fc.property(device, (parts) => {
        for (const { run, foregroundWaiting, foregroundRunning } of play(parts).begun) {
          if (run.level !== batchLevel) continue;
          expect(parts.throttled).toBe(false);
          expect(foregroundWaiting).toEqual([]);
          expect(foregroundRunning).toEqual([]);
        }
      }),
    );
  });

  it("keeps to its lanes, hands one batch run to an instance and begins nothing whose time is over", () => {
    fc.assert(
      fc.property(device, (parts) => {
        for (const { run, nowMs, foregroundRunning } of play(parts).begun) {
          const lanes = new Set(foregroundRunning.map(({ modelId, instance }) => `${modelId}/${instance}`));
          if (run.level !== batchLevel) lanes.add(`${run.modelId}/${run.instance}`);
          expect(lanes.size).toBeLessThanOrEqual(parts.lanes);
          for (const ticket of run.tickets) expect(ticket.expiresMs).toBeGreaterThan(nowMs);
        }
      }),
    );
  });

  it("joins only requests of one model with the same key, and no more rows than allowed", () => {
    fc.assert(
      fc.property(device, (parts) => {
        for (const { run } of play(parts).begun) {
          const { maxBatchSize = 1 } = parts.models[modelNames.indexOf(run.modelId)]!.settings;
          const rows = run.tickets.reduce((sum, ticket) => sum + ticket.rows, 0);
          expect(rows).toBe(run.rows);
          if (run.tickets.length === 1) continue;
          expect(rows).toBeLessThanOrEqual(maxBatchSize);
          expect(new Set(run.tickets.map(({ joinKey }) => joinKey)).size).toBe(1);
          expect(run.tickets[0]!.joinKey).not.toBeNull();
          expect(run.tickets.every(({ payload }) => payload.model === run.modelId)).toBe(true);
        }
      }),
    );
  });

  it("serves the requests of one client, priority and model in the order in which they came", () => {
    fc.assert(
      fc.property(device, (parts) => {
        const last = new Map<string, number>();
        for (const { run } of play(parts).begun) {
          for (const { payload } of run.tickets) {
            const line = `${payload.model} ${payload.priority} ${payload.client}`;
            expect(payload.id).toBeGreaterThan(last.get(line) ?? -1);
            last.set(line, payload.id);
          }
        }
      }),
    );
  });

  it("begins a client's more urgent work of a model before its less urgent work", () => {
    const order: readonly Priority[] = ["realtime", "normal", "batch"];
    fc.assert(
      fc.property(device, (parts) => {
        for (const { run, foregroundWaiting } of play(parts).begun) {
          if (run.level === batchLevel) continue;
          for (const { payload } of run.tickets) {
            const passed = foregroundWaiting.filter(
              ({ model, client, priority }) =>
                model === payload.model &&
                client === payload.client &&
                order.indexOf(priority) < order.indexOf(payload.priority),
            );
            expect(passed).toEqual([]);
          }
        }
      }),
    );
  });

  it("never lets what requests say of themselves pass a slot of a higher class that could run", () => {
    fc.assert(
      fc.property(device, (given) => {
        const parts = { ...given, lanes: 1 };
        for (const { run, foregroundWaiting, foregroundRunning } of play(parts).begun) {
          // A slot's instance that is busy may hold the lane: what is handed over to it stands in nobody's way.
          if (foregroundRunning.length > 0) continue;
          const higher = foregroundWaiting.filter((one) => levelOf(parts, one) < run.level);
          expect(higher).toEqual([]);
        }
      }),
    );
  });
});

/** So many runs of one length, of whatever the schedule puts next; after each, what follows may be asked. */
function playRuns(schedule: Schedule<string>, runs: number, onEnded: (ended: Run<string>, run: number) => void): void {
  const line: Run<string>[] = [];
  for (let run = 0; run < runs; run += 1) {
    for (let next = schedule.next(0); next.kind === "run"; next = schedule.next(0)) line.push(next.run);
    const ended = line.shift()!;
    schedule.finish(ended, 1_000);
    onEnded(ended, run);
  }
}

describe("quota", () => {
  const shares = fc.record({
    first: fc.integer({ min: 10, max: 90 }).map((percent) => percent / 100),
    runMs: fc.tuple(fc.double({ min: 0.05, max: 8, noNaN: true }), fc.double({ min: 0.05, max: 8, noNaN: true })),
  });

  /** Two names that always have requests waiting, on one lane; time by name. */
  function share(parts: { first: number; runMs: readonly [number, number] }, by: "slot" | "client") {
    const schedule = new Schedule<string>({ lanes: 1 });
    const weights = { x: parts.first, y: 1 - parts.first };
    const add = (id: string, slot: string, settings: Partial<ModelSettings>) =>
      schedule.add(id, slot, { settings: { ...defaultSettings, queueLimit: 1_000, ...settings }, instances: 1 });
    if (by === "client") add("m", "s", { clientShares: weights });
    else for (const name of ["x", "y"] as const) add(name, name, { quotaShare: weights[name] });
    const costMs = { x: parts.runMs[0], y: parts.runMs[1] };
    const ask = (name: "x" | "y") =>
      schedule.enqueue(
        {
          ...{
            modelId: by === "slot" ? name : "m",
            payload: name,
            priority: "normal",
            client: by === "slot" ? "" : name,
          },
          ...{ rows: 1, joinKey: null, expiresMs: Number.POSITIVE_INFINITY },
        },
        0,
      );
    // A backlog is more than what is handed to an instance ahead of need.
    const backlog = 8 + Math.ceil(4 / Math.min(costMs.x, costMs.y));
    for (let index = 0; index < backlog; index += 1) for (const name of ["x", "y"] as const) ask(name);
    const usedMs = { x: 0, y: 0 };
    const line: Run<string>[] = [];
    const totalMs = Math.max(1_000, 400 * Math.max(costMs.x, costMs.y));
    while (usedMs.x + usedMs.y < totalMs) {
      for (let next = schedule.next(0); next.kind === "run"; next = schedule.next(0)) line.push(next.run);
      const run = line.shift()!;
      const name = run.tickets[0]!.payload as "x" | "y";
      usedMs[name] += costMs[name];
      schedule.finish(run, costMs[name] * 1_000);
      ask(name);
    }
    return usedMs.x / (usedMs.x + usedMs.y);
  }

  it("shares the time of the device between two busy slots within five percent, whatever their runs take", () => {
    fc.assert(
      fc.property(shares, (parts) => {
        expect(Math.abs(share(parts, "slot") - parts.first)).toBeLessThan(0.05);
      }),
    );
  });

  it("shares the time of a slot between two busy clients within five percent", () => {
    fc.assert(
      fc.property(shares, (parts) => {
        const runMs = [parts.runMs[0], parts.runMs[0]] as const;
        expect(Math.abs(share({ ...parts, runMs }, "client") - parts.first)).toBeLessThan(0.05);
      }),
    );
  });

  interface Crowd {
    readonly share: number;
    readonly others: number;
    readonly isFresh: boolean;
    readonly priorities: readonly Priority[];
    readonly slotPriority: Priority;
  }
  const priority = fc.constantFrom<Priority>("realtime", "normal");
  const crowd: fc.Arbitrary<Crowd> = fc.record({
    share: fc.integer({ min: 5, max: 95 }).map((percent) => percent / 100),
    others: fc.integer({ min: 1, max: 40 }),
    isFresh: fc.boolean(),
    priorities: fc.array(priority, { minLength: 1, maxLength: 5 }),
    slotPriority: priority,
  });

  /** Part of 2,000 runs of one length that a listed client has beside a crowd of names, each of which always asks. */
  function playCrowd({ share: listed, others, isFresh, priorities, slotPriority: slot }: Crowd): number {
    const schedule = new Schedule<string>({ lanes: 1 });
    const settings = { ...defaultSettings, queueLimit: 1_000, clientShares: { listed }, priority: slot };
    schedule.add("m", "s", { settings, instances: 1 });
    let asked = 0;
    const ask = (client: string) => {
      const own = client === "listed" ? "normal" : priorities[(asked += 1) % priorities.length]!;
      const rest = { rows: 1, joinKey: null, expiresMs: Number.POSITIVE_INFINITY };
      schedule.enqueue({ modelId: "m", payload: client, priority: own, client, ...rest }, 0);
    };
    for (let index = 0; index < 16; index += 1) ask("listed");
    for (let index = 0; index < others; index += 1) for (let times = 0; times < 8; times += 1) ask(`other-${index}`);
    let had = 0;
    playRuns(schedule, 2_000, (ended, run) => {
      const client = ended.tickets[0]!.payload;
      if (client === "listed") had += 1;
      ask(client === "listed" || !isFresh ? client : `fresh-${run}`);
    });
    return had / 2_000;
  }

  it("gives a listed client that always asks its share, however many other names ask and whatever they claim", () => {
    fc.assert(
      fc.property(crowd, (parts) => {
        expect(playCrowd(parts)).toBeGreaterThan(parts.share - 0.02);
      }),
      { numRuns: 30 },
    );
  });

  it("lets a request wait for no more than eight that came later, however urgent these say that they are", () => {
    const schedule = new Schedule<string>({ lanes: 1 });
    schedule.add("m", "s", { settings: defaultSettings, instances: 1 });
    const ask = (payload: string, own: "realtime" | "normal") => {
      const rest = { rows: 1, joinKey: null, expiresMs: Number.POSITIVE_INFINITY, client: "" };
      schedule.enqueue({ modelId: "m", payload, priority: own, ...rest }, 0);
    };
    for (let index = 0; index < 16; index += 1) ask("urgent", "realtime");
    let had = 0;
    ask("patient", "normal");
    playRuns(schedule, 1_000, (ended) => {
      const isPatient = ended.tickets[0]?.payload === "patient";
      if (isPatient) had += 1;
      ask(isPatient ? "patient" : "urgent", isPatient ? "normal" : "realtime");
    });
    expect(had).toBeGreaterThanOrEqual(30);
  });

  it("serves a client without a name as often as each of those beside it, though they ask under a new one each time", () => {
    const schedule = new Schedule<string>({ lanes: 1 });
    schedule.add("m", "s", { settings: defaultSettings, instances: 1 });
    const ask = (client: string) => {
      const rest = { rows: 1, joinKey: null, expiresMs: Number.POSITIVE_INFINITY };
      schedule.enqueue({ modelId: "m", payload: client, priority: "normal", client, ...rest }, 0);
    };
    const others = 16;
    for (let index = 0; index < others; index += 1) ask(`first-${index}`);
    ask("");
    let had = 0;
    playRuns(schedule, 1_700, (ended, run) => {
      const isNameless = ended.tickets[0]?.payload === "";
      if (isNameless) had += 1;
      ask(isNameless ? "" : `fresh-${run}`);
    });
    expect(had).toBeGreaterThanOrEqual(90);
    expect(had).toBeLessThanOrEqual(110);
  });

  it("holds between two slots of one class when all requests of one say that they are realtime", () => {
    const schedule = new Schedule<string>({ lanes: 1 });
    const add = (id: string, quotaShare: number) =>
      schedule.add(id, id, { settings: { ...defaultSettings, quotaShare, queueLimit: 1_000 }, instances: 1 });
    add("large", 0.9);
    add("small", 0.1);
    const ask = (modelId: string) => {
      const own = modelId === "small" ? "realtime" : "normal";
      const rest = { rows: 1, joinKey: null, expiresMs: Number.POSITIVE_INFINITY, client: "" };
      schedule.enqueue({ modelId, payload: modelId, priority: own, ...rest }, 0);
    };
    for (let index = 0; index < 16; index += 1) for (const id of ["large", "small"]) ask(id);
    const runs = { large: 0, small: 0 };
    playRuns(schedule, 1_000, (ended) => {
      runs[ended.modelId as keyof typeof runs] += 1;
      ask(ended.modelId);
    });
    expect(runs.large / 1_000).toBeGreaterThan(0.85);
  });
});
