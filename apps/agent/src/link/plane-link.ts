import type { Bus, BusConnection, BusMessage } from "@fairlead/bus";
import { toErrorMessage, type Clock, type Logger, type Service } from "@fairlead/kernel";
import {
  hostSchema,
  parsePayload,
  parseTopic,
  toPayload,
  toTopic,
  type Birth,
  type Reported,
  type Status,
  type UpChannel,
} from "@fairlead/protocol";
import type { TrustedTime } from "./trusted-time.ts";

export interface PlaneLinkOptions {
  readonly bus: Bus;
  readonly tenant: string;
  readonly device: string;
  readonly session: { next(): number; current(): number };
  readonly time: TrustedTime;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly toBirth: (session: number) => Birth;
  readonly toReported: () => Reported;
  readonly onDesired: (payload: Uint8Array) => void;
  readonly onCommand: (commandId: string, payload: Uint8Array) => void;
  /** Difference of this device's clock to the plane's, when the plane's was heard live. */
  readonly onSkew: (skewMs: number) => void;
  /** What the plane remembers of its own starts, the newest first. */
  readonly onStarts: (starts: readonly string[]) => void;
}

const gatherMs = 20;
const againMs = 1_000;

const stampFloorMs = 1_000_000_000_000;

/** The session with the plane: birth and status after each connect, the will for when it breaks, reports on change. */
export class PlaneLink implements Service {
  readonly name = "plane-link";
  readonly #options: PlaneLinkOptions;
  readonly connection: BusConnection;
  #timer: NodeJS.Timeout | undefined;
  #publishing = false;
  #dirty = false;
  #closed = false;
  readonly #undo: (() => void)[] = [];

  /** The connection exists from here on; what the plane sends is handled once `start` has subscribed. */
  constructor(options: PlaneLinkOptions) {
    this.#options = options;
    const { bus, device, session } = options;
    this.connection = bus.connect({
      clientId: device,
      will: () => ({
        topic: this.#toUp("status"),
        payload: toPayload(this.#toStatus(false, session.next())),
        retain: true,
      }),
    });
  }

  #toUp(channel: UpChannel): string {
    return toTopic({ kind: "up", tenant: this.#options.tenant, device: this.#options.device, channel });
  }

  #toStatus(online: boolean, session: number): Status {
    return { v: 1, online, session, tsMs: Math.max(stampFloorMs, this.#options.clock.nowMs()) };
  }

  async start(): Promise<void> {
    const { tenant, device, onDesired } = this.#options;
    const desired = toTopic({ kind: "down", tenant, device, channel: "desired" });
    const commands = `${desired.slice(0, -"desired".length)}command/+`;
    this.#undo.push(
      await this.connection.subscribe([desired], (message) => onDesired(message.payload)),
      await this.connection.subscribe([commands], (message) => this.#receiveCommand(message)),
      await this.connection.subscribe([toTopic({ kind: "host", tenant })], (message) => this.#receiveHost(message)),
      this.connection.onConnect(() => void this.#announce()),
      this.connection.onDisconnect((reason) => this.#options.logger.warn("the link to the plane ended", { reason })),
    );
  }

  async stop(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    for (const end of this.#undo.splice(0)) end();
    if (this.connection.connected) {
      const status = toPayload(this.#toStatus(false, this.#options.session.current()));
      // A goodbye is a courtesy: the will says the same when it does not arrive.
      const late = new Promise((resolve) => setTimeout(resolve, 300).unref());
      const sent = this.connection.publish(this.#toUp("status"), status, { retain: true }).catch(() => undefined);
      await Promise.race([sent, late]);
    }
    await this.connection.close();
  }

  /** Something that a report tells has changed. Changes within a moment travel together. */
  report(): void {
    this.#dirty = true;
    if (this.#closed) return;
    this.#timer ??= setTimeout(() => this.#publishReport(), gatherMs);
  }

  #receiveCommand({ topic, payload }: BusMessage): void {
    const parsed = parseTopic(topic);
    if (parsed?.kind === "command") this.#options.onCommand(parsed.commandId, payload);
  }

  #receiveHost({ payload, retained }: BusMessage): void {
    const { time, clock, onSkew, onStarts } = this.#options;
    const { online, tsMs, starts } = parsePayload(hostSchema, payload);
    if (starts !== undefined) onStarts(starts);
    // What the broker kept says when the plane began, not what time it is.
    if (!online || retained) return;
    time.observeLive(tsMs);
    onSkew(clock.nowMs() - tsMs);
  }

  async #announce(): Promise<void> {
    const { session, toBirth, logger } = this.#options;
    try {
      const number = session.current();
      await this.connection.publish(this.#toUp("birth"), toPayload(toBirth(number)), { retain: true });
      await this.connection.publish(this.#toUp("status"), toPayload(this.#toStatus(true, number)), { retain: true });
      logger.info("connected to the plane", { session: number });
    } catch (error) {
      logger.warn("the birth could not be published", { reason: toErrorMessage(error) });
    }
    this.report();
  }

  #publishReport(): void {
    this.#timer = undefined;
    if (!this.connection.connected || this.#publishing || !this.#dirty || this.#closed) return;
    this.#dirty = false;
    this.#publishing = true;
    // Made when it leaves, so that it always tells the newest.
    Promise.resolve()
      .then(() => this.connection.publish(this.#toUp("reported"), toPayload(this.#options.toReported())))
      .catch((error: unknown) => {
        this.#dirty = true;
        this.#options.logger.warn("a report could not be published", { reason: toErrorMessage(error) });
        if (!this.#closed) this.#timer ??= setTimeout(() => this.#publishReport(), againMs);
      })
      .finally(() => {
        this.#publishing = false;
        if (this.#dirty && !this.#closed) this.#timer ??= setTimeout(() => this.#publishReport(), gatherMs);
      });
  }
}
