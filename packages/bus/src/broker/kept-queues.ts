/** The fields of the library's packets that decide here; everything else is carried along. */
export interface KeptPacket {
  readonly cmd: string;
  readonly brokerId?: string;
  readonly brokerCounter?: number;
  readonly topic?: string;
  readonly payload?: Uint8Array | string;
  messageId?: number | undefined;
  dup?: boolean;
}

const overheadBytes = 256;
const toBytes = (packet: KeptPacket): number =>
  overheadBytes + 2 * (packet.topic?.length ?? 0) + (packet.payload?.length ?? 0);

export interface KeptQueuesOptions {
  readonly bytesPerClient: number;
  readonly bytesInAll: number;
  readonly onDrop: () => void;
}

/** What waits for sessions that are kept, oldest first. A full queue takes nothing more, so that what is kept stays in order. */
export class KeptQueues {
  readonly #options: KeptQueuesOptions;
  readonly #queues = new Map<string, { packets: KeptPacket[]; bytes: number }>();
  #usedBytes = 0;

  constructor(options: KeptQueuesOptions) {
    this.#options = options;
  }

  add(clientId: string, packet: KeptPacket): void {
    const queue = this.#queues.get(clientId) ?? { packets: [], bytes: 0 };
    const bytes = toBytes(packet);
    if (queue.bytes + bytes > this.#options.bytesPerClient || this.#usedBytes + bytes > this.#options.bytesInAll)
      return this.#options.onDrop();
    queue.packets.push({ ...packet, messageId: undefined });
    queue.bytes += bytes;
    this.#usedBytes += bytes;
    this.#queues.set(clientId, queue);
  }

  /** Gives a message the number under which it is sent, or puts the next packet of its exchange in its place. */
  update(clientId: string, packet: KeptPacket): void {
    const queue = this.#queues.get(clientId);
    const isSame = (kept: KeptPacket): boolean =>
      packet.cmd === "publish"
        ? kept.brokerId === packet.brokerId && kept.brokerCounter === packet.brokerCounter
        : kept.messageId === packet.messageId;
    const index = queue?.packets.findIndex(isSame) ?? -1;
    const kept = queue?.packets[index];
    if (queue === undefined || kept === undefined) throw new Error("no such packet");
    if (packet.cmd === "publish") {
      kept.messageId = packet.messageId;
      return;
    }
    this.#resize(queue, toBytes(packet) - toBytes(kept));
    queue.packets[index] = packet;
  }

  /** Ends an exchange. */
  remove(clientId: string, messageId: number | undefined): KeptPacket | undefined {
    const queue = this.#queues.get(clientId);
    const index = queue?.packets.findIndex((kept) => kept.messageId === messageId) ?? -1;
    if (queue === undefined || index < 0) return undefined;
    const [gone] = queue.packets.splice(index, 1);
    if (gone !== undefined) this.#resize(queue, -toBytes(gone));
    if (queue.packets.length === 0) this.#queues.delete(clientId);
    return gone;
  }

  /** What is sent again to a client that is back: a message that had a number already is a duplicate [MQTT-3.3.1-1]. */
  list(clientId: string): KeptPacket[] {
    const packets = this.#queues.get(clientId)?.packets ?? [];
    return packets.map((kept) =>
      kept.cmd === "publish" && kept.messageId !== undefined ? { ...kept, dup: true } : kept,
    );
  }

  #resize(queue: { bytes: number }, bytes: number): void {
    queue.bytes += bytes;
    this.#usedBytes += bytes;
  }
}
