import type { BrokerStats } from "@fairlead/bus/broker";
import type { Store } from "@fairlead/store";
import type { InferenceTotals } from "../ingest/inference-totals.ts";
import type { IngestCounters } from "../ingest/ingest.ts";
import { toInferenceMetrics } from "./inference-metrics.ts";
import { counter, gauge, toLines } from "./metric-lines.ts";

export interface MetricSources {
  readonly store: Store;
  readonly broker: () => BrokerStats | undefined;
  readonly ingest: () => Readonly<IngestCounters>;
  readonly inference: Pick<InferenceTotals, "all">;
}

function countBy<Item>(items: readonly Item[], label: string, toValue: (item: Item) => string): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const item of items) {
    const key = `{${label}="${toValue(item)}"}`;
    counts[key] = (counts[key] ?? 0) + 1;
  }
  return counts;
}

/** Prometheus text format 0.0.4, base units. */
export async function toMetrics({ store, broker, ingest, inference }: MetricSources): Promise<string> {
  const devices = await store.read.devices.listStates();
  const counters = ingest();
  const stats = broker();
  const memory = process.memoryUsage();
  return [
    toLines(
      gauge("fairlead_devices", "Devices by life cycle."),
      countBy(devices, "lifecycle", (row) => row.lifecycle),
    ),
    toLines(gauge("fairlead_devices_online", "Devices that are online."), {
      "": devices.filter((row) => row.online).length,
    }),
    toLines(
      gauge("fairlead_devices_integrity", "Devices by verdict."),
      countBy(devices, "state", (row) => row.integrity),
    ),
    toLines(counter("fairlead_ingest_messages_total", "Messages from devices by what became of them."), {
      '{outcome="received"}': counters.received,
      '{outcome="stored"}': counters.stored,
      '{outcome="dead_letter"}': counters.dead,
      '{outcome="dropped"}': counters.dropped,
      '{outcome="failed"}': counters.failed,
    }),
    toLines(counter("fairlead_ingest_batches_total", "Transactions that stored messages."), { "": counters.batches }),
    ...(stats === undefined
      ? []
      : [
          toLines(gauge("fairlead_broker_connections", "Open connections."), { "": stats.connections }),
          toLines(counter("fairlead_broker_refused_total", "What the broker refused."), {
            '{what="connection"}': stats.refusedConnections,
            '{what="publish"}': stats.refusedPublishes,
            '{what="subscription"}': stats.refusedSubscriptions,
            '{what="packet"}': stats.protocolErrors,
            '{what="slow_reader"}': stats.slowReaders,
          }),
          toLines(counter("fairlead_broker_held_back_total", "Times that a device was read from more slowly."), {
            "": stats.heldBack,
          }),
          toLines(gauge("fairlead_broker_outbound_bytes", "Bytes that devices have not read yet."), {
            "": stats.outboundBytes,
          }),
          toLines(gauge("fairlead_broker_retained_bytes", "Bytes that devices have retained."), {
            "": stats.retainedBytes,
          }),
        ]),
    toInferenceMetrics(inference.all),
    toLines(gauge("process_resident_memory_bytes", "Resident memory."), { "": memory.rss }),
    toLines(counter("process_cpu_seconds_total", "User and system time."), {
      "": (process.cpuUsage().user + process.cpuUsage().system) / 1e6,
    }),
    toLines(gauge("process_uptime_seconds", "Time since start."), { "": process.uptime() }),
  ].join("");
}
