import { decideJoinWait, gather } from "./batch-plan.ts";
import { ClientLedger, toParts } from "./client-ledger.ts";
import { Ledger, toWeights, type Account } from "./ledger.ts";
import { decidePlace } from "./queue-place.ts";
import { RunEstimate } from "./run-estimate.ts";
import {
  toInstance,
  toSide,
  type Ask,
  type Enqueued,
  type Instance,
  type Ledgers,
  type Model,
  type Next,
  type Run,
  type Slot,
} from "./schedule-state.ts";
import { batchLevel, toLevel, toRank, type Level, type ModelSettings, type Rank } from "./settings.ts";
import { WaitingLine, type Ticket } from "./waiting-line.ts";

export interface ScheduleOptions {
  /** Runs that may execute at the same time in the foreground: the cores, or 1 for one accelerator. */
  readonly lanes: number;
  /** How much work, by estimate, may be handed to an instance ahead of need, so that tiny runs leave no gaps. */
  readonly aheadUs?: number;
}

const maxSlots = 256;
/** Names of clients come from clients: what is remembered of them is bounded. */
const maxOthers = 256;
const defaultAheadUs = 2_000;
/** What is handed over cannot be given to another client any more. */
const sharedAheadUs = 500;
const queued = { kind: "queued" } as const;
const forEver = { kind: "wait", untilMs: Number.POSITIVE_INFINITY } as const;

/**
 * Which request runs next on a device that several models share. A state machine without clock, timers or tensors.
 * Invariants: at most `lanes` instances work in the foreground; batch work begins only while nothing else waits or runs,
 * one run an instance; nothing whose time is over ever begins; time is shared by weight between slots of one class, then
 * between clients of a slot; only the requests of one client pass each other by what they say of themselves, and eight
 * at most pass the same one.
 */
export class Schedule<Payload> {
  readonly #lanes: number;
  readonly #aheadUs: number;
  readonly #models = new Map<string, Model<Payload>>();
  readonly #slots = new Map<string, Slot>();
  readonly #ledgers: Ledgers = { foreground: new Ledger(maxSlots), batch: new Ledger(maxSlots) };
  #foregroundWaiting = 0;
  #batchWaiting = 0;
  #lanesTaken = 0;
  #batchInstances = 0;
  #nextExpiryMs = Number.POSITIVE_INFINITY;
  #throttled = false;

  constructor(options: ScheduleOptions) {
    this.#lanes = options.lanes;
    this.#aheadUs = options.aheadUs ?? defaultAheadUs;
  }

  /** While the device is hot or throttles, batch work stands still. */
  setThrottled(throttled: boolean): void {
    this.#throttled = throttled;
  }

  add(id: string, slotName: string, model: { readonly settings: ModelSettings; readonly instances: number }): void {
    const slot = this.#openSlot(slotName);
    slot.share = model.settings.quotaShare;
    slot.models.add(id);
    this.#weigh();
    this.#models.set(id, {
      id,
      slot,
      settings: model.settings,
      instances: Array.from({ length: model.instances }, (_, index) => toInstance(index)),
      level: toLevel("normal", model.settings.priority),
      lines: { foreground: new WaitingLine(), batch: new WaitingLine() },
      estimate: new RunEstimate(),
      pending: 0,
      seenAtOnce: 0,
    });
  }

  /** The model must have nothing pending. */
  remove(id: string): void {
    const model = this.#models.get(id);
    if (model === undefined) return;
    this.#models.delete(id);
    model.slot.models.delete(id);
    if (model.slot.models.size > 0) return;
    this.#slots.delete(model.slot.name);
    this.#ledgers.foreground.remove(model.slot.name);
    this.#ledgers.batch.remove(model.slot.name);
    this.#weigh();
  }

  /** Requests that wait or run. */
  pending(id: string): number {
    return this.#models.get(id)?.pending ?? 0;
  }

  enqueue(ask: Ask<Payload>, nowMs: number): Enqueued<Payload> {
    const model = this.#model(ask.modelId);
    const { clientShares, queueLimit, priority } = model.settings;
    const level = toLevel(ask.priority, priority);
    const rank = toRank(ask.priority);
    const side = toSide(level);
    const client = model.slot.clients[side].open(ask.client, clientShares);
    let enqueued: Enqueued<Payload> = queued;
    if (model.pending >= queueLimit) {
      enqueued = this.#makePlace(model, { side, rank, client });
      if (enqueued.kind === "refused") return enqueued;
    }
    const { payload, rows, joinKey, expiresMs } = ask;
    model.lines[side].push({ payload, level, rank, client, rows, joinKey, askedMs: nowMs, expiresMs, overtaken: 0 });
    model.slot.clients[side].enter(client);
    this.#ledgers[side].enter(model.slot.accounts[side]);
    model.pending += 1;
    if (model.pending > model.seenAtOnce) model.seenAtOnce = model.pending;
    this.#countWaiting(level, 1);
    if (expiresMs < this.#nextExpiryMs) this.#nextExpiryMs = expiresMs;
    return enqueued;
  }

  /** Takes a request out that still waits. @returns whether it did */
  withdraw(id: string, payload: Payload): boolean {
    const model = this.#models.get(id);
    if (model === undefined) return false;
    const ticket = model.lines.foreground.withdraw(payload) ?? model.lines.batch.withdraw(payload);
    if (ticket === undefined) return false;
    this.#drop(model, ticket);
    return true;
  }

  /** The next thing to do; call until it says `wait`. */
  next(nowMs: number): Next<Payload> {
    if (this.#foregroundWaiting + this.#batchWaiting === 0) {
      this.#nextExpiryMs = Number.POSITIVE_INFINITY;
      return forEver;
    }
    if (nowMs >= this.#nextExpiryMs) {
      const tickets = this.#takeExpired(nowMs);
      if (tickets.length > 0) return { kind: "expired", tickets };
    }
    if (this.#foregroundWaiting > 0) return this.#nextForeground(nowMs);
    if (this.#batchWaiting > 0 && this.#lanesTaken === 0 && !this.#throttled) return this.#nextBatch(nowMs);
    return { kind: "wait", untilMs: this.#nextExpiryMs };
  }

  /** A run has ended; `runUs` is what the runtime measured, null when it failed. */
  finish(run: Run<Payload>, runUs: number | null): void {
    const model = this.#release(run);
    const side = toSide(run.level);
    if (runUs !== null) model.estimate.record(run.rows, runUs);
    const differenceUs = runUs === null ? 0 : runUs - run.estimateUs;
    this.#ledgers[side].correct(model.slot.accounts[side], differenceUs);
    for (const ticket of run.tickets) {
      model.slot.clients[toSide(ticket.level)].correct(ticket.client, (differenceUs * ticket.rows) / run.rows);
      this.#leave(model, ticket);
    }
  }

  /** A joined run failed: its requests go back to the front and run alone, so that one cannot spoil the others. */
  separate(run: Run<Payload>): void {
    const model = this.#release(run);
    for (const ticket of run.tickets.toReversed()) {
      ticket.joinKey = null;
      model.lines[toSide(ticket.level)].unshift(ticket);
      this.#countWaiting(ticket.level, 1);
      if (ticket.expiresMs < this.#nextExpiryMs) this.#nextExpiryMs = ticket.expiresMs;
    }
  }

  #nextForeground(nowMs: number): Next<Payload> {
    let untilMs = this.#nextExpiryMs;
    for (const level of [0, 1] as const) {
      let best: { model: Model<Payload>; instance: Instance } | undefined;
      for (const model of this.#models.values()) {
        if (model.level !== level || model.lines.foreground.size === 0) continue;
        if (
          best !== undefined &&
          best.model.slot.accounts.foreground.virtualUs <= model.slot.accounts.foreground.virtualUs
        )
          continue;
        const instance = this.#findInstance(model);
        if (instance === undefined) continue;
        const joinMs = level === 0 ? null : this.#toJoinWait(model, model.lines.foreground, nowMs);
        if (joinMs === null) best = { model, instance };
        else if (joinMs < untilMs) untilMs = joinMs;
      }
      if (best !== undefined) return { kind: "run", run: this.#begin(best.model, best.instance, level) };
    }
    return { kind: "wait", untilMs };
  }

  #nextBatch(nowMs: number): Next<Payload> {
    let untilMs = this.#nextExpiryMs;
    let best: { model: Model<Payload>; instance: Instance } | undefined;
    for (const model of this.#models.values()) {
      if (model.lines.batch.size === 0 || this.#batchInstances >= this.#lanes) continue;
      if (best !== undefined && best.model.slot.accounts.batch.virtualUs <= model.slot.accounts.batch.virtualUs)
        continue;
      const instance = model.instances.find((one) => one.foregroundRuns + one.batchRuns === 0);
      if (instance === undefined) continue;
      const joinMs = this.#toJoinWait(model, model.lines.batch, nowMs);
      if (joinMs === null) best = { model, instance };
      else if (joinMs < untilMs) untilMs = joinMs;
    }
    if (best === undefined) return { kind: "wait", untilMs };
    return { kind: "run", run: this.#begin(best.model, best.instance, batchLevel) };
  }

  /** The instance that takes the next foreground run of this model, if one may. */
  #findInstance(model: Model<Payload>): Instance | undefined {
    const laneFree = this.#lanesTaken < this.#lanes;
    // Others need a lane: who holds one gives it back after its quantum.
    const contended = !laneFree && this.#foregroundWaiting > model.lines.foreground.size;
    const joins = model.settings.maxBatchSize > 1;
    const ready = model.lines.foreground.size;
    const aheadUs = model.slot.clients.foreground.busy > 1 ? Math.min(sharedAheadUs, this.#aheadUs) : this.#aheadUs;
    let best: Instance | undefined;
    for (const instance of model.instances) {
      if (instance.foregroundRuns === 0 ? !laneFree : contended && instance.quantumUs >= this.#aheadUs) continue;
      const busy = instance.foregroundRuns + instance.batchRuns > 0;
      // Joined work gains by waiting while the instance is busy, unless a whole run is there already.
      if (busy && (instance.outstandingUs >= aheadUs || (joins && ready < model.settings.maxBatchSize))) continue;
      if (best === undefined || instance.outstandingUs < best.outstandingUs) best = instance;
    }
    return best;
  }

  #toJoinWait(model: Model<Payload>, line: WaitingLine<Payload>, nowMs: number): number | null {
    const { maxBatchSize, maxQueueDelayMs } = model.settings;
    if (maxBatchSize === 1 || maxQueueDelayMs === 0) return null;
    let rows = 0;
    let oldestMs = Number.POSITIVE_INFINITY;
    let waiting = 0;
    for (const ticket of line.all()) {
      if (ticket.joinKey === null || ticket.rank === 0) return null;
      rows += ticket.rows;
      waiting += 1;
      if (ticket.askedMs < oldestMs) oldestMs = ticket.askedMs;
    }
    const { seenAtOnce } = model;
    return decideJoinWait({ waiting, rows, maxBatchSize, seenAtOnce, oldestMs, maxQueueDelayMs, nowMs });
  }

  #begin(model: Model<Payload>, instance: Instance, level: Level): Run<Payload> {
    const side = toSide(level);
    const clients = model.slot.clients[side];
    const { maxBatchSize } = model.settings;
    const estimateRowUs = () => model.estimate.toUs(1) ?? this.#aheadUs;
    const paid: number[] = [];
    const tickets = gather(model.lines[side], maxBatchSize, (ticket) => {
      const chargeUs = estimateRowUs() * ticket.rows;
      paid.push(chargeUs);
      clients.serve(ticket.client, chargeUs);
      this.#countWaiting(ticket.level, -1);
    });
    const rows = tickets.reduce((sum, ticket) => sum + ticket.rows, 0);
    const estimateUs = model.estimate.toUs(rows) ?? this.#aheadUs;
    for (const [index, ticket] of tickets.entries()) {
      clients.correct(ticket.client, (estimateUs * ticket.rows) / rows - (paid[index] ?? 0));
    }
    this.#ledgers[side].serve(model.slot.accounts[side], estimateUs);
    model.seenAtOnce = model.pending;
    if (level === batchLevel) {
      if (instance.batchRuns === 0) this.#batchInstances += 1;
      instance.batchRuns += 1;
    } else {
      if (instance.foregroundRuns === 0) this.#lanesTaken += 1;
      instance.foregroundRuns += 1;
    }
    instance.outstandingUs += estimateUs;
    instance.quantumUs += estimateUs;
    return { modelId: model.id, instance: instance.index, tickets, rows, level, estimateUs };
  }

  #release(run: Run<Payload>): Model<Payload> {
    const model = this.#model(run.modelId);
    const instance = model.instances[run.instance];
    if (instance === undefined) return model;
    if (run.level === batchLevel) {
      instance.batchRuns -= 1;
      if (instance.batchRuns === 0) this.#batchInstances -= 1;
    } else {
      instance.foregroundRuns -= 1;
      if (instance.foregroundRuns === 0) this.#lanesTaken -= 1;
    }
    const idle = instance.foregroundRuns + instance.batchRuns === 0;
    instance.outstandingUs = idle ? 0 : instance.outstandingUs - run.estimateUs;
    if (instance.foregroundRuns === 0) instance.quantumUs = 0;
    return model;
  }

  #makePlace(
    model: Model<Payload>,
    { side, rank, client }: { readonly side: keyof Ledgers; readonly rank: Rank; readonly client: Account },
  ): Enqueued<Payload> {
    const line = model.lines[side];
    const background = side === "foreground" ? model.lines.batch : null;
    const takeLower = () => background?.takeNewestOfGreediest() ?? line.takeNewestBelow(client, rank);
    const greediest = line.greediest();
    const toPart = toParts(new Set([client, ...line.clients]));
    const toRatios = (one: Account) => ({ heldRatio: one.pending / model.pending, shareRatio: toPart(one) });
    const place = decidePlace({
      ...toRatios(client),
      greediest: greediest === undefined || greediest === client ? null : toRatios(greediest),
      lowerWaits: (background?.size ?? 0) > 0 || line.hasBelow(client, rank),
    });
    if (place.kind === "refuse") return { kind: "refused", code: place.code };
    const ticket = place.whom === "lower" ? takeLower() : line.takeNewestOfGreediest();
    if (ticket === undefined) return { kind: "refused", code: "overloaded" };
    this.#drop(model, ticket);
    return { kind: "displaced", ticket, code: place.code };
  }

  #takeExpired(nowMs: number): Ticket<Payload>[] {
    const expired: Ticket<Payload>[] = [];
    this.#nextExpiryMs = Number.POSITIVE_INFINITY;
    for (const model of this.#models.values()) {
      for (const line of [model.lines.foreground, model.lines.batch]) {
        for (const ticket of line.takeExpired(nowMs)) {
          this.#drop(model, ticket);
          expired.push(ticket);
        }
        for (const { expiresMs } of line.all()) if (expiresMs < this.#nextExpiryMs) this.#nextExpiryMs = expiresMs;
      }
    }
    return expired;
  }

  #countWaiting(level: Level, change: 1 | -1): void {
    if (level === batchLevel) this.#batchWaiting += change;
    else this.#foregroundWaiting += change;
  }

  /** It was taken out of its line and will not run. */
  #drop(model: Model<Payload>, ticket: Ticket<Payload>): void {
    this.#countWaiting(ticket.level, -1);
    this.#leave(model, ticket);
  }

  #leave(model: Model<Payload>, ticket: Ticket<Payload>): void {
    const side = toSide(ticket.level);
    model.pending -= 1;
    model.slot.clients[side].leave(ticket.client);
    this.#ledgers[side].leave(model.slot.accounts[side]);
  }

  #openSlot(name: string): Slot {
    const known = this.#slots.get(name);
    if (known !== undefined) return known;
    const { foreground, batch } = this.#ledgers;
    const slot: Slot = {
      name,
      accounts: { foreground: foreground.open(name, () => 1), batch: batch.open(name, () => 1) },
      clients: { foreground: new ClientLedger(maxOthers), batch: new ClientLedger(maxOthers) },
      models: new Set(),
      share: null,
    };
    this.#slots.set(name, slot);
    return slot;
  }

  #weigh(): void {
    const weights = toWeights(new Map([...this.#slots.values()].map((slot) => [slot.name, slot.share])));
    for (const slot of this.#slots.values()) {
      slot.accounts.foreground.weight = slot.accounts.batch.weight = weights.get(slot.name) ?? 1;
    }
  }

  #model(id: string): Model<Payload> {
    const model = this.#models.get(id);
    if (model === undefined) throw new RangeError(`no model '${id}' in the schedule`);
    return model;
  }
}
