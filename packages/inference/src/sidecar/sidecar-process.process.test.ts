import { fork } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import type { LoadedModel, PlacementChange } from "../port.ts";
import { mlpModel } from "../testing/example-models.ts";
import { TestSidecar } from "../testing/sidecar-server.ts";
import { createOpenInferenceRuntime } from "./open-inference-runtime.ts";
import { parseSidecarUrl } from "./sidecar-address.ts";
import { SidecarProcess } from "./sidecar-process.ts";

const opened: TestSidecar[] = [];
function open(...given: ConstructorParameters<typeof TestSidecar>): TestSidecar {
  const sidecar = new TestSidecar(...given);
  opened.push(sidecar);
  return sidecar;
}
afterEach(async () => {
  await Promise.all(opened.splice(0).map((sidecar) => sidecar[Symbol.asyncDispose]()));
});

const model = () => mlpModel({ widths: [8, 16, 4] });
const run = async (loaded: LoadedModel) => {
  const x = { name: "x", datatype: "FP32" as const, shape: [1, 8], data: new Float32Array(8).fill(1) };
  const { outputs } = await loaded.infer([x], { deadlineMs: 3_000 });
  return [...(outputs[0]?.data ?? [])];
};
const code = (expected: string, message = "") =>
  expect.objectContaining({ code: expected, message: expect.stringContaining(message) as unknown });

async function until<Value>(what: string, ask: () => Value | undefined | false, timeoutMs = 4_000): Promise<Value> {
  const startedMs = performance.now();
  for (;;) {
    const value = ask();
    if (value !== undefined && value !== false) return value;
    if (performance.now() - startedMs > timeoutMs) throw new Error(`${what}: not within ${timeoutMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Neither there nor a zombie that nobody has looked at yet. */
function isGone(pid: number): boolean {
  try {
    return /^State:\s+[ZX]/mu.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return true;
  }
}

describe("the server's process", () => {
  it("is started with the first load, and each load after it uses the same one", async () => {
    const { runtime } = open();
    expect(runtime.pid).toBeNull();
    const first = await runtime.load(model());
    const { pid } = runtime;
    const second = await runtime.load(model());
    expect(runtime.pid).toBe(pid);
    expect(await run(second)).toEqual(await run(first));
  });

  it("answers again within a second of its restart when it was killed under load", async () => {
    const sidecar = open();
    const loaded = await sidecar.runtime.load(model());
    const right = await run(loaded);
    let stop = false;
    const codes = new Set<unknown>();
    const goodAtMs: number[] = [];
    const client = async () => {
      while (!stop) {
        try {
          expect(await run(loaded)).toEqual(right);
          goodAtMs.push(performance.now());
        } catch (error) {
          codes.add((error as { code?: unknown }).code);
          await new Promise((resolve) => setTimeout(resolve, 2));
        }
      }
    };
    const clients = Array.from({ length: 8 }, client);
    await until("load", () => goodAtMs.length > 50);
    process.kill(sidecar.runtime.pid ?? 0, "SIGKILL");
    const downAtMs = await until(
      "it is down",
      () => sidecar.events.some(({ kind }) => kind === "down") && performance.now(),
    );
    await until("it answers again", () => (goodAtMs.at(-1) ?? 0) > downAtMs + 1);
    const upAtMs = goodAtMs.find((time) => time > downAtMs + 1) ?? 0;
    stop = true;
    await Promise.all(clients);
    const up = sidecar.events.findLast((event) => event.kind === "up");
    // Measured from the server's own readiness: how long a Node.js process takes to start is not ours.
    expect(upAtMs - downAtMs - (up?.kind === "up" ? up.startMs : 0)).toBeLessThan(1_000);
    expect([...codes]).toEqual(["runtime_crashed"]);
  });

  it("is started again with growing delays, and a load says what its last words were", async () => {
    const sidecar = open([], { random: () => 1 });
    sidecar.setFault("no-start");
    await expect(sidecar.runtime.load(model())).rejects.toThrow(
      code("runtime_crashed", "it exited with status 3; it said last: cannot find the accelerator"),
    );
    const downs = () => sidecar.events.flatMap((event) => (event.kind === "down" ? [event.restartInMs] : []));
    await until("three starts", () => downs().length >= 3);
    expect(downs().slice(0, 3)).toEqual([350, 600, 1_100]);
    sidecar.setFault("");
    const loaded = await sidecar.runtime.load(model());
    expect(await run(loaded)).toHaveLength(4);
  });

  it("says so when the program is not there", async () => {
    const { runtime } = open([], { command: ["/nowhere/tritonserver", "--model-repository={repository}"] });
    await expect(runtime.load(model())).rejects.toThrow(code("runtime_crashed", "/nowhere/tritonserver"));
  });

  it("takes its whole group with it", async () => {
    const sidecar = open(["--child"]);
    await sidecar.runtime.load(model());
    const child = await until("the child's id", () =>
      sidecar.events
        .flatMap((event) => (event.kind === "output" ? [/^child (\d+)$/u.exec(event.line)?.[1]] : []))
        .find(Boolean),
    );
    expect(isGone(Number(child))).toBe(false);
    const { pid } = sidecar.runtime;
    process.kill(pid ?? 0, "SIGKILL");
    await until("the child is gone", () => isGone(Number(child)));
    await until("a new server", () => sidecar.runtime.pid !== null && sidecar.runtime.pid !== pid);
  });

  it("is ended by the kernel when our process is killed, and what is left of its group at the next start", async () => {
    const sidecar = open(["--child"]);
    const holder = fork(new URL("../testing/sidecar-holder.ts", import.meta.url), {
      execArgv: [],
      stdio: ["ignore", "ignore", "inherit", "ipc"],
    });
    const said: unknown[] = [];
    holder.on("message", (message) => said.push(message));
    holder.send({ folder: sidecar.folder, socketPath: sidecar.socketPath });
    const held = (await until("the holder has a server", () => said[0])) as { pid: number; child: number };
    holder.kill("SIGKILL");
    await until("the server is gone", () => isGone(held.pid));
    expect(isGone(held.child)).toBe(false);
    const repository = join(sidecar.folder, "runtime/repository");
    expect(readdirSync(repository)).toHaveLength(1);
    await sidecar.runtime.load(model());
    expect(isGone(held.child)).toBe(true);
    expect(readdirSync(repository)).toHaveLength(1);
  });

  it("does not end a stranger that has the number of a server of long ago", async () => {
    const sidecar = open();
    const recordPath = join(sidecar.folder, "runtime/process.json");
    const bootId = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
    writeFileSync(recordPath, JSON.stringify({ pid: process.pid, startTicks: 1, bootId }));
    await sidecar.runtime.load(model());
    expect(JSON.parse(readFileSync(recordPath, "utf8"))).toMatchObject({ pid: sidecar.runtime.pid });
    await sidecar.runtime.close();
    expect(existsSync(recordPath)).toBe(false);
  });

  it("is started again when it answers nothing, though no run waits for it", async () => {
    const sidecar = open([], { watchMs: 50 });
    const loaded = await sidecar.runtime.load(model());
    process.kill(sidecar.runtime.pid ?? 0, "SIGSTOP");
    const down = await until("it is given up", () => sidecar.events.find(({ kind }) => kind === "down"), 4_500);
    expect(down).toMatchObject({ reason: "it does not answer when asked for its health" });
    let answered = 0;
    await until("it answers", () => {
      void run(loaded).then(
        ({ length }) => (answered = length),
        () => undefined,
      );
      return answered > 0;
    });
  }, 10_000);

  it("is not started a second time when its process cannot be noted", async () => {
    const sidecar = open([], { random: () => 0 });
    mkdirSync(join(sidecar.folder, "runtime/process.json/held"), { recursive: true });
    await expect(sidecar.runtime.load(model())).rejects.toThrow(code("runtime_crashed", "process.json"));
    rmSync(join(sidecar.folder, "runtime/process.json"), { recursive: true });
    expect(await run(await sidecar.runtime.load(model()))).toHaveLength(4);
  });

  it("has the memory limit that it was given", async () => {
    const sidecar = open([], { memoryLimitBytes: 4_000_000_000 });
    await sidecar.runtime.load(model());
    const limits = readFileSync(`/proc/${sidecar.runtime.pid}/limits`, "utf8");
    expect(limits).toMatch(/^Max data size\s+5073741824\s+5073741824\s+bytes/mu);
  });

  it("is started again when it holds more memory than it may, and answers on", async () => {
    const limit = 220_000_000;
    const sidecar = open([], { memoryLimitBytes: limit, watchMs: 20 });
    const loaded = await sidecar.runtime.load(model());
    const right = await run(loaded);
    const { pid } = sidecar.runtime;
    sidecar.setFault("grow:16");
    const down = await until("it is given up", () => {
      void run(loaded).catch(() => undefined);
      return sidecar.events.find((event) => event.kind === "down");
    });
    sidecar.setFault("");
    expect(down.kind === "down" && down.reason).toMatch(/^it holds \d+ bytes of memory, over its limit of 220000000$/u);
    let answer: unknown[] = [];
    await until("it answers again", () => {
      void run(loaded).then(
        (values) => (answer = values),
        () => undefined,
      );
      return answer.length > 0;
    });
    expect(answer).toEqual(right);
    expect(sidecar.runtime.pid).not.toBe(pid);
  });

  it("is not up from the moment that it is ended: who asks then waits for the next one", async () => {
    const folder = mkdtempSync(join(tmpdir(), "sidecar-"));
    const ready = () => Promise.resolve(true);
    const server = new SidecarProcess({
      ...{ name: "idle", environment: {}, folder, recordPath: join(folder, "process.json") },
      command: [process.execPath, "-e", "process.stdin.resume()"],
      ...{ readyTimeoutMs: 4_000, memoryLimitBytes: null, watchMs: 2_000, random: () => 0 },
      ...{ isReady: ready, isAlive: ready, isBusy: () => false },
      ...{ onUp: () => undefined, onDown: () => undefined, onEvent: () => undefined },
    });
    try {
      await server.whenUp(4_000);
      const { pid, generation } = server;
      server.restart("it took too long");
      expect(server.up).toBe(false);
      await server.whenUp(4_000);
      expect(server.generation).toBe(generation + 1);
      expect(server.pid).not.toBe(pid);
    } finally {
      await server.close();
      rmSync(folder, { recursive: true });
    }
  });

  it("may take as long to load as it is given, the next time too", async () => {
    const sidecar = open();
    await sidecar.runtime.load(model());
    sidecar.setFault("load-late:400");
    const short = sidecar.runtime.load(model(), { loadDeadlineMs: 200 });
    await expect(short).rejects.toThrow(code("model_load_failed", "no answer within"));
    const changes: PlacementChange[] = [];
    const ample = { loadDeadlineMs: 5_000, onPlacement: (change: PlacementChange) => void changes.push(change) };
    const loaded = await sidecar.runtime.load(model(), ample);
    process.kill(sidecar.runtime.pid ?? 0, "SIGKILL");
    await until("its placement is told anew", () => changes.length > 0);
    expect(changes).toEqual([{ kind: "proved", placement: loaded.placement }]);
    expect(loaded.placement.shares).toEqual({ cpu: 1 });
    expect(await run(loaded)).toHaveLength(4);
    await sidecar.runtime.close();
  }, 10_000);

  it("does not load a file again that was changed in its folder, and serves the others", async () => {
    const sidecar = open();
    const [changed, other] = await Promise.all([
      sidecar.runtime.load(model()),
      sidecar.runtime.load(mlpModel({ widths: [8, 16, 4], seed: 9 })),
    ]);
    const repository = join(sidecar.folder, "runtime/repository");
    const right = Buffer.from(model());
    for (const name of readdirSync(repository)) {
      const path = join(repository, name, "1/model.onnx");
      if (readFileSync(path).equals(right)) writeFileSync(path, mlpModel({ widths: [8, 16, 4], seed: 3 }));
    }
    process.kill(sidecar.runtime.pid ?? 0, "SIGKILL");
    await until("it says so", () => sidecar.events.some(({ kind }) => kind === "model-lost"));
    await expect(run(changed)).rejects.toThrow(code("runtime_crashed", "was changed"));
    await until("the other is back", () => sidecar.events.filter(({ kind }) => kind === "up").length === 2);
    let answered = 0;
    await until("the other answers", () => {
      void run(other).then(
        ({ length }) => (answered = length),
        () => undefined,
      );
      return answered > 0;
    });
    expect(answered).toBe(4);
    await changed.close();
  });

  it("leaves in the folder what is not ours", async () => {
    const sidecar = open();
    const theirs = join(sidecar.folder, "runtime/repository/theirs");
    mkdirSync(theirs, { recursive: true });
    mkdirSync(join(sidecar.folder, "runtime/repository/fairlead-0123456789abcdef-01234567"));
    const loaded = await sidecar.runtime.load(model());
    expect(readdirSync(join(sidecar.folder, "runtime/repository"))).toHaveLength(2);
    await loaded.close();
    expect(readdirSync(join(sidecar.folder, "runtime/repository"))).toEqual(["theirs"]);
  });
});

describe("the address of a sidecar", () => {
  it.each([
    "http://192.168.1.4:8000",
    "http://localhost:8000",
    "https://127.0.0.1:8000",
    "http://user:secret@127.0.0.1:8000",
    "http://127.0.0.1:8000/?x=1",
    "http://127.0.0.1.example.org:8000",
    "unix:relative/path",
    "file:///etc/passwd",
    "",
  ])("refuses '%s'", (url) => {
    expect(() => parseSidecarUrl(url)).toThrow(code("runtime_config_invalid"));
  });

  it("takes loopback and sockets", () => {
    expect(parseSidecarUrl("http://127.0.0.1:8000")).toEqual({
      kind: "tcp",
      host: "127.0.0.1",
      port: 8_000,
      basePath: "",
    });
    expect(parseSidecarUrl("http://[::1]:8000/oip/")).toEqual({
      kind: "tcp",
      host: "::1",
      port: 8_000,
      basePath: "/oip",
    });
    expect(parseSidecarUrl("unix:/run/s")).toEqual({ kind: "unix", socketPath: "/run/s", basePath: "" });
  });

  it("is where a server answers over TCP", async () => {
    await using server = new TestSidecar();
    const port = await freePort();
    const runtime = createOpenInferenceRuntime({
      name: "tcp",
      command: [process.execPath, server.serverPath, "--port", String(port), "--repository", "{repository}"],
      url: `http://127.0.0.1:${port}`,
      folder: join(server.folder, "tcp"),
    });
    const loaded = await runtime.load(model());
    expect(await run(loaded)).toHaveLength(4);
    await runtime.close();
    await expect(run(loaded)).rejects.toThrow(code("runtime_crashed"));
  });
});

async function freePort(): Promise<number> {
  const { createServer } = await import("node:net");
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === "object" && address !== null ? address.port : 0;
}
