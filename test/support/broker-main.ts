import { openBroker, type Broker, type BrokerLimits } from "@fairlead/bus/broker";
import { openConformanceBroker } from "@fairlead/bus/conformance";
import { createServer, type TLSSocket } from "node:tls";
import type { AddressInfo } from "node:net";
import { Aedes } from "aedes";
import type { BrokerQuestion, BrokerSetup } from "./broker-process.ts";

/*
 * One broker in a process of its own, so that its memory can be read from outside: the embedded broker behind TLS, the
 * same in its conformance mode, or the bare library behind TLS.
 */

interface Served {
  readonly port: number;
  publish(topic: string, payload: Buffer, qos: 0 | 1): Promise<void>;
  stats(): unknown;
}

function toServed(broker: Broker): Served {
  return {
    port: broker.port,
    publish: (topic, payload, qos) => broker.publish(topic, payload, { qos }),
    stats: () => broker.stats(),
  };
}

async function openBare(tls: BrokerSetup["tls"]): Promise<Served> {
  const aedes = await Aedes.createBroker();
  const server = createServer(
    { ...tls, requestCert: true, rejectUnauthorized: true },
    (socket: TLSSocket) => void aedes.handle(socket),
  );
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    publish: (topic, payload, qos) =>
      new Promise((resolve) =>
        aedes.publish({ cmd: "publish", topic, payload, qos, retain: false, dup: false }, () => resolve()),
      ),
    stats: () => ({ connections: aedes.connectedClients }),
  };
}

async function open({ kind, tls, tenant, limits }: BrokerSetup): Promise<Served> {
  const where = { host: "127.0.0.1", port: 0, limits: limits as Partial<BrokerLimits> };
  if (kind === "bare") return await openBare(tls);
  if (kind === "conformance") return toServed(await openConformanceBroker(where));
  return toServed(await openBroker({ ...where, tls, tenant, authenticate: async () => true }));
}

process.once("message", (setup: BrokerSetup) => {
  void open(setup).then((served) => {
    process.on("message", (question: BrokerQuestion) => {
      void (async () => {
        if (question.kind === "publish") {
          // Each message has bytes of its own: the same ones again and again would cost a broker that keeps them nothing.
          const { topic, load } = question;
          for (let count = 0; count < load.count; count += 1)
            await served.publish(topic, Buffer.alloc(load.payloadBytes, "x"), load.qos);
        }
        if (question.kind === "collect") for (let turn = 0; turn < 3; turn += 1) globalThis.gc?.();
        process.send?.({ stats: served.stats(), heapUsed: process.memoryUsage().heapUsed });
      })();
    });
    process.send?.({ port: served.port });
  });
});
