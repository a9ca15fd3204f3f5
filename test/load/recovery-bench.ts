import { killNow, readChildren } from "../support/child-of.ts";
import { eventually } from "../support/eventually.ts";
import { loadDigits, toInferRequest } from "../support/digits.ts";
import { BenchDevice } from "./bench-device.ts";
import { toQuantile, type Row } from "./measure.ts";
import { RawConnection, toHttpRequest } from "./raw-client.ts";

interface Answer {
  readonly endedAtMs: number;
  readonly latencyMs: number;
  readonly good: boolean;
}

/** Four clients that never stop asking and connect again when they are cut off. */
class BusyClients implements AsyncDisposable {
  readonly answers: Answer[] = [];
  readonly #loops: Promise<void>[];
  #stopped = false;

  constructor(endpoint: string) {
    const { hostname, port } = new URL(endpoint);
    const [digit] = loadDigits("test");
    if (digit === undefined) throw new Error("there are no digits");
    const { body, headers } = toInferRequest(digit);
    const request = toHttpRequest("/v2/models/digit-reader/infer", headers, body);
    this.#loops = Array.from({ length: 4 }, () => this.#loop(() => new RawConnection(hostname, Number(port)), request));
  }

  async #loop(connect: () => RawConnection, request: Buffer): Promise<void> {
    let connection = connect();
    while (!this.#stopped) {
      const startedAtMs = performance.now();
      const status = await connection.send(request).catch(() => 0);
      const endedAtMs = performance.now();
      this.answers.push({ endedAtMs, latencyMs: endedAtMs - startedAtMs, good: status === 200 });
      if (status === 0) {
        connection.close();
        connection = connect();
      }
      await new Promise((resolve) => setTimeout(resolve, 4));
    }
    connection.close();
  }

  between(fromMs: number, toMs: number): readonly Answer[] {
    return this.answers.filter(({ endedAtMs }) => endedAtMs >= fromMs && endedAtMs < toMs);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#loops);
  }
}

const observe = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const toWorst = (answers: readonly Answer[]) => Math.max(...answers.map(({ latencyMs }) => latencyMs));

const kills = 5;

/** Kills the serving process under its clients; milliseconds until the first good answer. */
async function killOnce(bench: BenchDevice): Promise<number> {
  await using clients = new BusyClients(bench.device.endpoint);
  await observe(2_000);
  const killedAtMs = performance.now();
  for (const pid of readChildren(bench.device.process.pid)) killNow(pid);
  const first = await eventually("a good answer after the kill", () => {
    const later = clients.answers.filter(({ endedAtMs }) => endedAtMs > killedAtMs);
    const broken = later.findIndex(({ good }) => !good);
    return broken === -1 ? undefined : later.slice(broken).find(({ good }) => good);
  });
  return first.endedAtMs - killedAtMs;
}

async function benchSwitch(bench: BenchDevice): Promise<Row[]> {
  await using clients = new BusyClients(bench.device.endpoint);
  await observe(1_000);
  const calmFromMs = performance.now();
  await observe(5_000);
  const switchFromMs = performance.now();
  await bench.rollOut("1.0.0");
  await observe(1_000);
  const switchToMs = performance.now();
  const calm = toWorst(clients.between(calmFromMs, switchFromMs));
  const during = clients.between(switchFromMs, switchToMs);
  const failed = during.filter(({ good }) => !good).length;
  const addedMs = toWorst(during) - calm;
  return [
    {
      name: `requests failed while the active build changed, of ${during.length}`,
      value: String(failed),
      against: "0",
      ratio: "–",
      bound: "0",
      held: failed === 0,
    },
    {
      name: "what the change added to the worst request",
      value: `${addedMs.toFixed(1)} ms`,
      against: `50 ms over the worst of the 5 s before (${calm.toFixed(1)} ms)`,
      ratio: (addedMs / 50).toFixed(2),
      bound: "≤ 1",
      held: addedMs <= 50,
    },
  ];
}

/** What a client feels when the active build changes, and when the serving process is killed: one kill says little of the next. */
export async function benchRecovery(): Promise<Row[]> {
  await using bench = await BenchDevice.start(1_000);
  await bench.install("1.0.0");
  await bench.install("1.1.0");
  const switching = await benchSwitch(bench);
  const backMs: number[] = [];
  for (let kill = 0; kill < kills; kill += 1) {
    // A second end within a minute is waited out on purpose: each kill is the first of a new start.
    if (kill > 0) await bench.startAgain("digit-reader");
    backMs.push(await killOnce(bench));
  }
  const median = toQuantile(backMs, 0.5);
  return [
    {
      name: `serving process killed under load: first good answer again, median of ${kills}`,
      value: `${median.toFixed(0)} ms (${Math.min(...backMs).toFixed(0)} to ${Math.max(...backMs).toFixed(0)})`,
      against: "500 ms",
      ratio: (median / 500).toFixed(2),
      bound: "≤ 1",
      held: median <= 500,
    },
    ...switching,
  ];
}
