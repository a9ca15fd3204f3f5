import { openConformanceBroker } from "@fairlead/bus/conformance";
import { once } from "node:events";
import { parseArgs } from "node:util";

/**
 * The embedded broker for interoperability suites: plain TCP on loopback, anonymous clients, sessions that are kept,
 * quality of service 2, and `test/nosubscribe` to which nobody may subscribe. Prints its address and runs until it is
 * told to stop.
 */
export async function runMqttBroker(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: { host: { type: "string", default: "127.0.0.1" }, port: { type: "string", default: "1883" } },
  });
  const broker = await openConformanceBroker({ host: values.host, port: Number(values.port) });
  process.stdout.write(`listening on ${broker.host}:${broker.port}\n`);
  await Promise.race([once(process, "SIGTERM"), once(process, "SIGINT")]);
  await broker.close();
}
