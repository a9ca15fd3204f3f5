/*
 * What a client may send, byte by byte, after MQTT 3.1.1. The codec behind is lenient: it keeps a connection that sends
 * reserved bits, text that is no UTF-8 or packet numbers that must not be. Numbers in brackets are those of the standard.
 */

/** Bytes of a PUBLISH that are looked at: its topic and its packet number. */
export const publishHeadBytes = 1_024;
/** Every other packet is looked at as a whole. */
export const controlPacketBytes = 8_192;

const publish = 3;
/** Flags that each type of packet from a client must have [MQTT-2.2.2-1]; a PUBLISH has its own. */
const flagsOf: ReadonlyMap<number, number> = new Map([
  [1, 0],
  [4, 0],
  [5, 0],
  [6, 2],
  [7, 0],
  [8, 2],
  [10, 2],
  [12, 0],
  [14, 0],
]);

class Malformed extends Error {}

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Printable ASCII, as our own topics are, needs no decoder and holds no control character. */
function isPrintableAscii(bytes: Uint8Array): boolean {
  for (const byte of bytes) if (byte < 0x20 || byte > 0x7e) return false;
  return true;
}

function refuse(reason: string): never {
  throw new Malformed(reason);
}

/** Reads from the left; beyond the end it refuses. */
class Cursor {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get left(): number {
    return this.#bytes.length - this.#at;
  }

  byte(): number {
    const value = this.#bytes[this.#at];
    if (value === undefined) return refuse("it ends in the middle");
    this.#at += 1;
    return value;
  }

  number(): number {
    return this.byte() * 256 + this.byte();
  }

  data(): Uint8Array {
    const length = this.number();
    if (length > this.left) return refuse("a field is longer than the packet");
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }

  /** [MQTT-1.5.3-1], [MQTT-1.5.3-2], and what receivers may close for: control characters and non-characters. */
  text(): string {
    const bytes = this.data();
    if (isPrintableAscii(bytes)) return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");
    let text: string;
    try {
      text = decoder.decode(bytes);
    } catch {
      return refuse("a text is no UTF-8");
    }
    if (/[\p{Cc}\p{Noncharacter_Code_Point}]/u.test(text)) return refuse("a text holds a control character");
    return text;
  }

  /** [MQTT-2.3.1-1] */
  packetId(): void {
    if (this.number() === 0) refuse("its packet number is 0");
  }

  end(): void {
    if (this.left > 0) refuse(`${this.left} bytes follow its end`);
  }
}

/** How many bytes of the body `checkPacketForm` wants, or why no body will do. */
export function toHeadBytes(header: number, bodyBytes: number): number | string {
  if (header >> 4 === publish) return Math.min(bodyBytes, publishHeadBytes);
  return bodyBytes <= controlPacketBytes ? bodyBytes : `a packet of type ${header >> 4} has ${bodyBytes} bytes`;
}

/**
 * Why the packet must not be, or undefined when it is well-formed.
 * @param body as many bytes as `toHeadBytes` says
 */
export function checkPacketForm(header: number, body: Uint8Array, connected: boolean): string | undefined {
  const type = header >> 4;
  try {
    if (type === 1 && connected) refuse("a second CONNECT"); // [MQTT-3.1.0-2]
    if (type !== publish && flagsOf.get(type) !== (header & 15)) refuse("its type or its flags are reserved");
    checkBody(type, header, new Cursor(body));
    return undefined;
  } catch (error) {
    if (error instanceof Malformed) return `a packet of type ${type}: ${error.message}`;
    throw error;
  }
}

function checkBody(type: number, header: number, cursor: Cursor): void {
  switch (type) {
    case 1:
      return checkConnect(cursor);
    case publish:
      return checkPublish(header, cursor);
    case 8:
    case 10:
      return checkFilters(cursor, type === 8);
    case 4:
    case 5:
    case 6:
    case 7:
      cursor.packetId();
      return cursor.end();
    default:
      return cursor.end();
  }
}

/** Another protocol or level is answered by the broker, with the code that is made for it. */
function checkConnect(cursor: Cursor): void {
  if (cursor.text() !== "MQTT" || cursor.byte() !== 4) return;
  const flags = cursor.byte();
  const [name, password, retain, will] = [128, 64, 32, 4].map((bit) => (flags & bit) !== 0);
  const qos = (flags >> 3) & 3;
  if ((flags & 1) !== 0) refuse("its reserved flag is set"); // [MQTT-3.1.2-3]
  if (qos === 3 || (will !== true && (qos !== 0 || retain === true))) refuse("the flags of its will"); // [MQTT-3.1.2-11…15]
  if (name !== true && password === true) refuse("a password without a user name"); // [MQTT-3.1.2-22]
  cursor.number();
  // An empty identifier with a session to keep is for the broker to answer [MQTT-3.1.3-8].
  cursor.text();
  if (will === true) {
    checkTopic(cursor.text());
    cursor.data();
  }
  if (name === true) cursor.text();
  if (password === true) cursor.data();
  cursor.end();
}

function checkPublish(header: number, cursor: Cursor): void {
  const qos = (header >> 1) & 3;
  if (qos === 3) refuse("quality of service 3"); // [MQTT-3.3.1-4]
  if (qos === 0 && (header & 8) !== 0) refuse("a duplicate at quality of service 0"); // [MQTT-3.3.1-2]
  checkTopic(cursor.text());
  if (qos > 0) cursor.packetId();
}

/** [MQTT-3.3.2-2], [MQTT-4.7.3-1] */
function checkTopic(topic: string): void {
  if (topic === "") refuse("an empty topic");
  if (/[+#]/u.test(topic)) refuse("a topic with a wildcard");
}

function checkFilters(cursor: Cursor, withQos: boolean): void {
  cursor.packetId();
  if (cursor.left === 0) refuse("no topic filter"); // [MQTT-3.8.3-3], [MQTT-3.10.3-2]
  while (cursor.left > 0) {
    const filter = cursor.text();
    if (filter === "") refuse("an empty topic filter");
    // [MQTT-4.7.1-2], [MQTT-4.7.1-3]
    if (/#./u.test(filter) || /[^/]#|[^/]\+|\+[^/]/u.test(filter)) refuse("a wildcard inside a level");
    if (withQos && cursor.byte() > 2) refuse("a quality of service beyond 2"); // [MQTT-3-8.3-4]
  }
}
