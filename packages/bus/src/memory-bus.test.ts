import { isCovered } from "./topic-filter.ts";
import { createMemoryBus } from "./memory-bus.ts";
import { describeBusContract } from "./testing/bus.contract.ts";

describeBusContract("the in-memory bus", async () => {
  const bus = createMemoryBus();
  const received: { topic: string; text: string }[] = [];
  const plane = bus.connect({ clientId: "plane" });
  await new Promise<void>((resolve) => void plane.onConnect(() => resolve()));
  await plane.subscribe(["fairlead/v1/acme/+/up/#"], ({ topic, payload }) => {
    if (isCovered("fairlead/v1/acme/+/up/#", topic)) received.push({ topic, text: Buffer.from(payload).toString() });
  });
  return {
    bus,
    tenant: "acme",
    device: "cam-1",
    received,
    publishAsPlane: (topic, text, retain = false) => plane.publish(topic, Buffer.from(text), { retain }),
    interrupt: () => bus.interrupt("cam-1"),
    restore: () => bus.restore("cam-1"),
    close: () => plane.close(),
  };
});
