import { openBroker } from "../broker/open-broker.ts";
import type { Broker, BrokerLimits, BrokerOptions } from "../broker/broker-options.ts";
import type { Refusal } from "../broker/counters.ts";

/** The broker of the tenant acme with limits that a test can reach, and what it refused. */
export async function openLimitedBroker(
  tls: BrokerOptions["tls"],
  limits: Partial<BrokerLimits>,
): Promise<{ readonly broker: Broker; readonly refusals: Refusal[] }> {
  const refusals: Refusal[] = [];
  const broker = await openBroker({
    ...{ tls, host: "127.0.0.1", port: 0, tenant: "acme", limits },
    authenticate: async () => true,
    onRefusal: (refusal) => void refusals.push(refusal),
  });
  return { broker, refusals };
}
