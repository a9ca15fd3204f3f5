/** Running totals of one broker; every field only grows. */
export interface Counters {
  received: number;
  sent: number;
  refusedConnections: number;
  refusedPublishes: number;
  refusedSubscriptions: number;
  protocolErrors: number;
  /** Connections that were ended because they did not read what was sent to them. */
  slowReaders: number;
  /** Times that a connection was held back because it sent faster than it may. */
  heldBack: number;
  /** Messages for sessions that are away which were not kept: their queue was full. */
  droppedOffline: number;
}

export function createCounters(): Counters {
  return {
    received: 0,
    sent: 0,
    refusedConnections: 0,
    refusedPublishes: 0,
    refusedSubscriptions: 0,
    protocolErrors: 0,
    slowReaders: 0,
    heldBack: 0,
    droppedOffline: 0,
  };
}

/** Something that the broker refused, for whoever keeps a record of it. */
export interface Refusal {
  readonly what: "connection" | "publish" | "subscription" | "packet" | "slow-reader";
  readonly why: string;
  /** Address of the socket. */
  readonly from: string;
  /** The device that the certificate proves, where one does. */
  readonly device?: string;
  /** The topic, the filter or the client identifier that was asked for; at most 128 characters. */
  readonly subject?: string;
}

const counterOf = {
  connection: "refusedConnections",
  publish: "refusedPublishes",
  subscription: "refusedSubscriptions",
  packet: "protocolErrors",
  "slow-reader": "slowReaders",
} as const satisfies Record<Refusal["what"], keyof Counters>;

export function countRefusal(counters: Counters, refusal: Refusal): void {
  counters[counterOf[refusal.what]] += 1;
}
