import { isIP } from "node:net";
import { callbackify } from "node:util";
import { CodedError, toErrorMessage, type Logger } from "@fairlead/kernel";
import { connect } from "mqtt";

export interface TopicPipeOptions {
  /** `mqtt://` of a broker on this device. */
  readonly url: string;
  readonly clientId: string;
  readonly input: string;
  readonly output: string;
  /** Largest message that is taken; others are answered with `{"error": …}`. Default 16 MiB. */
  readonly maxPayloadBytes?: number;
  /** Rejects only when the pipe is to end: until then it waits as long as it takes. */
  readonly answer: (payload: Uint8Array) => Promise<Uint8Array>;
  readonly logger: Logger;
}

export interface TopicPipe {
  close(): Promise<void>;
}

/** A broker of this device, without encryption, so its address must not lead off the device. */
export function isLocalBroker(url: string): boolean {
  if (!URL.canParse(url)) return false;
  const { protocol, hostname, username, password } = new URL(url);
  const host = hostname.replaceAll(/^\[|\]$/gu, "");
  const loopback = host === "localhost" || host === "::1" || (isIP(host) === 4 && host.startsWith("127."));
  return protocol === "mqtt:" && loopback && username === "" && password === "";
}

const maxReconnectMs = 30_000;

/**
 * Messages of one topic in, an answer for each on another, one after the other. The broker holds what waits: a message
 * is acknowledged after its answer is (MQTT 3.1.1 §4.3.2, at least once).
 * @throws CodedError `config_invalid`
 */
export function openTopicPipe(options: TopicPipeOptions): TopicPipe {
  const { url, clientId, input, output, logger, maxPayloadBytes = 16 * 1_048_576 } = options;
  if (!isLocalBroker(url) || input === output || /[+#]/u.test(output))
    throw new CodedError("config_invalid", `cannot answer ${input} on ${output} at ${url}`, {
      hint: "name a broker of this device (mqtt://127.0.0.1:1883) and two different topics",
    });
  const shared = { protocolVersion: 4, reconnectPeriod: 1_000, queueQoSZero: false } as const;
  const client = connect(url, { ...shared, clientId, clean: false, resubscribe: true });
  // One connection for each direction: while a message waits for its answer its connection reads nothing, acknowledgements included.
  const publisher = connect(url, { ...shared, clientId: `${clientId}-out`, clean: true });
  const log = (error: unknown) => logger.warn("a pipeline's broker", { input, reason: toErrorMessage(error) });
  // A broker that is away fails alike each time: that is told once, and it is asked more and more seldom.
  const told = new Set<string>();
  const logOnce = (error: unknown): void => {
    const reason = toErrorMessage(error);
    if (!told.has(reason)) log(error);
    told.add(reason);
  };
  for (const one of [client, publisher]) {
    one.on("error", logOnce);
    one.on("close", () => {
      const { reconnectPeriod = shared.reconnectPeriod } = one.options;
      one.options.reconnectPeriod = Math.min(maxReconnectMs, 2 * reconnectPeriod);
    });
    one.on("connect", () => {
      one.options.reconnectPeriod = shared.reconnectPeriod;
      told.clear();
    });
  }
  client.on("connect", () => void client.subscribeAsync(input, { qos: 1 }).catch(log));
  const refuse = (sizeBytes: number): Uint8Array => {
    const reason = `the message has ${sizeBytes} bytes, more than ${maxPayloadBytes}`;
    log(reason);
    return Buffer.from(JSON.stringify({ error: reason }));
  };
  const work = async (payload: Buffer): Promise<void> => {
    const isTooLarge = payload.length > maxPayloadBytes;
    const answer = isTooLarge ? refuse(payload.length) : await options.answer(payload);
    await publisher.publishAsync(output, Buffer.from(answer), { qos: 1 });
  };
  // The client takes the next packet, and acknowledges this one, when it is called back.
  client.handleMessage = ({ payload }, done) => callbackify(work)(Buffer.from(payload), done);
  return {
    close: async () => {
      await client.endAsync(true);
      await publisher.endAsync(true);
    },
  };
}
