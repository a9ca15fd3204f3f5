/** Running totals of one broker; every field only grows. */
export interface Counters {
  received: number;
  sent: number;
  refusedConnections: number;
  refusedPublishes: number;
  refusedSubscriptions: number;
  protocolErrors: number;
}

export function createCounters(): Counters {
  return {
    received: 0,
    sent: 0,
    refusedConnections: 0,
    refusedPublishes: 0,
    refusedSubscriptions: 0,
    protocolErrors: 0,
  };
}
