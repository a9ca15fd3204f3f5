/** `npm run bench [name …]`: prints a table with the ratios; exits 1 when one is outside its bound. */
import { toTable } from "../demo/narrator.ts";
import { benchBroker } from "./broker-bench.ts";
import { benchFleet } from "./fleet-bench.ts";
import { benchIdle } from "./idle-bench.ts";
import { benchOverhead, benchThroughput } from "./inference-bench.ts";
import { benchIngest } from "./ingest-bench.ts";
import type { Row } from "./measure.ts";
import { benchRecovery } from "./recovery-bench.ts";
import { benchSharing } from "./runtime-bench.ts";
import { benchShield } from "./shield-bench.ts";
import { benchSmallInput } from "./small-input-bench.ts";
import { benchTrust } from "./trust-bench.ts";

const benches: Readonly<Record<string, () => Promise<Row | Row[]>>> = {
  overhead: benchOverhead,
  small: benchSmallInput,
  throughput: benchThroughput,
  ingest: benchIngest,
  broker: async () => [...(await benchBroker()), ...(await benchShield())],
  runtime: benchSharing,
  recovery: benchRecovery,
  trust: benchTrust,
  fleet: benchFleet,
  idle: benchIdle,
};
const asked = process.argv.slice(2);
const unknown = asked.filter((name) => !Object.hasOwn(benches, name));
if (unknown.length > 0) {
  console.error(`no bench is called ${unknown.join(", ")}; there are ${Object.keys(benches).join(", ")}`);
  process.exit(2);
}

const rows: Row[] = [];
for (const [name, bench] of Object.entries(benches)) {
  if (asked.length > 0 && !asked.includes(name)) continue;
  console.error(`running ${name} …`);
  rows.push(...[await bench()].flat());
}
const heading = ["what", "measured", "against", "ratio", "bound", "held"];
console.log(
  toTable([
    heading,
    ...rows.map((row) => [row.name, row.value, row.against, row.ratio, row.bound, row.held ? "yes" : "NO"]),
  ]),
);
process.exit(rows.every((row) => row.held) ? 0 : 1);
