import { createTestAuthority } from "@fairlead/bus/testing/certificates";
import { toTopic } from "@fairlead/protocol";
import { connectAsync } from "mqtt";
import { BrokerProcess, type BrokerSetup, type MeasuredBroker } from "./broker-process.ts";
import type { Credentials } from "./hostile-clients.ts";
import { measureSlowReader } from "./hostile-memory.ts";
import { MosquittoProcess } from "./mosquitto.ts";

const tenant = "acme";
const topic = toTopic({ kind: "down", tenant, device: "cam-1", channel: "ack" });
const messageBytes = 65_536;
const messages = 1_500;

/** `from`: who publishes to a device of that broker. */
export type Work<Result> = (broker: MeasuredBroker, from: "plane" | "client") => Promise<Result>;

/** The embedded broker and those that it is held against: behind the same TLS, each with its own defaults. */
export class BrokerRivals {
  readonly #tls: BrokerSetup["tls"];
  readonly #publisher: Credentials["device"];
  /** Of the device `cam-1`. */
  readonly credentials: Credentials;

  private constructor(tls: BrokerSetup["tls"], reader: Credentials["device"], publisher: Credentials["device"]) {
    this.#tls = tls;
    this.#publisher = publisher;
    this.credentials = { ca: tls.ca, device: reader };
  }

  static async create(): Promise<BrokerRivals> {
    const authority = await createTestAuthority();
    const tls = { ...(await authority.issueServer("127.0.0.1")), ca: authority.ca };
    const [reader, publisher] = [
      await authority.issueDevice(tenant, "cam-1"),
      await authority.issueDevice(tenant, "cam-2"),
    ];
    return new BrokerRivals(tls, reader, publisher);
  }

  /** The same work on a fresh embedded broker and on a fresh Mosquitto, one after the other. */
  async measureBoth<Result>(mosquitto: string, work: Work<Result>): Promise<{ own: Result; theirs: Result }> {
    const own = await this.#measureEmbedded("product", (broker) => work(broker, "plane"));
    await using broker = await MosquittoProcess.start(mosquitto, this.#tls);
    return { own, theirs: await work(broker, "client") };
  }

  /** Work on the library alone. */
  async measureBare<Result>(work: Work<Result>): Promise<Result> {
    return await this.#measureEmbedded("bare", (broker) => work(broker, "client"));
  }

  /**
   * 94 MB to `cam-1` in messages of 64 kB, which it does not read. To a device of the embedded broker only the plane
   * publishes; elsewhere another client does.
   */
  async measureSlowReader(broker: MeasuredBroker, from: "plane" | "client"): Promise<number> {
    const publish =
      from === "plane" && broker instanceof BrokerProcess
        ? () => broker.publish(topic, { payloadBytes: messageBytes, count: messages, qos: 0 })
        : () => this.#publish(broker.port);
    return await measureSlowReader(broker, { credentials: this.credentials, topic, publish });
  }

  async #measureEmbedded<Result>(
    kind: "product" | "bare",
    work: (broker: MeasuredBroker) => Promise<Result>,
  ): Promise<Result> {
    await using broker = await new BrokerProcess().start({ kind, tls: this.#tls, tenant, limits: {} });
    return await work(broker);
  }

  async #publish(port: number): Promise<void> {
    const session = { protocol: "mqtts", host: "127.0.0.1", clientId: "cam-2", reconnectPeriod: 0 } as const;
    const client = await connectAsync({ ...session, port, ca: this.#tls.ca, ...this.#publisher });
    for (let sent = 0; sent < messages; sent += 100)
      await Promise.all(
        Array.from({ length: 100 }, () => client.publishAsync(topic, Buffer.alloc(messageBytes, "x"), { qos: 1 })),
      );
    await client.endAsync();
  }
}
