import { openBroker } from "./broker/index.ts";
import { createMqttBus } from "./mqtt-bus.ts";
import { describeBusContract } from "./testing/bus.contract.ts";
import { createTestAuthority } from "./testing/certificates.ts";

const authority = await createTestAuthority();
const server = await authority.issueServer("127.0.0.1");
const device = await authority.issueDevice("acme", "cam-1");

describeBusContract("the MQTT bus over TLS", async () => {
  const received: { topic: string; text: string }[] = [];
  const broker = await openBroker({
    tls: { ...server, ca: authority.ca },
    host: "127.0.0.1",
    port: 0,
    tenant: "acme",
    authenticate: async () => true,
    onMessage: (topic, payload) => void received.push({ topic, text: Buffer.from(payload).toString() }),
  });
  return {
    bus: createMqttBus({
      host: "127.0.0.1",
      port: broker.port,
      tls: { ...device, ca: authority.ca },
      backoff: { baseMs: 20, maxMs: 100 },
    }),
    tenant: "acme",
    device: "cam-1",
    received,
    publishAsPlane: (topic, text, retain = false) => broker.publish(topic, Buffer.from(text), { retain }),
    interrupt: () => void broker.disconnectDevice("cam-1"),
    restore: () => undefined,
    close: () => broker.close(),
  };
});
