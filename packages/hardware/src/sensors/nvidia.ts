import { spawn, type ChildProcess } from "node:child_process";
import { performance } from "node:perf_hooks";
import { createInterface } from "node:readline";
import { toErrorCode } from "@fairlead/kernel";
import type { Reading } from "@fairlead/protocol";
import { toMissing } from "../root.ts";

export interface GpuReadings {
  readonly powerW: Reading;
  readonly temperatureC: Reading;
  /** 0..1 */
  readonly utilization: Reading;
}

export interface NvidiaReader {
  /** Resolves when the first line came, or with the reason why none will. */
  readonly ready: Promise<{ readonly reason: string | null }>;
  read(): GpuReadings;
  close(): Promise<void>;
}

export interface NvidiaReaderOptions {
  /** Default `nvidia-smi`, looked up in the path. */
  readonly binary?: string;
  readonly periodS?: number;
  readonly readyTimeoutMs?: number;
}

/** Name of GPU 0 as an energy source. */
export const nvidiaSource = "nvidia-smi:0";
const fields = "power.draw,temperature.gpu,utilization.gpu";
const maxLineChars = 256;
/** A reading older than this many periods says nothing about now. */
const maxAgePeriods = 3;

/** Follows GPU 0 through one long-lived `nvidia-smi` that prints a line per period: a process per sample costs more. */
export function openNvidiaReader(options: NvidiaReaderOptions = {}): NvidiaReader {
  const { binary = "nvidia-smi", periodS = 1, readyTimeoutMs = 3_000 } = options;
  const args = [`--query-gpu=${fields}`, "--format=csv,noheader,nounits", "--id=0", "-l", String(periodS)];
  const child = spawn(binary, args, { stdio: ["ignore", "pipe", "ignore"], shell: false });
  let latest: { readonly atMs: number; readonly cells: readonly string[] } | null = null;
  let ended: string | null = null;

  const exited = new Promise<void>((resolve) => {
    child.once("error", (error) => {
      ended ??= toErrorCode(error) === "ENOENT" ? "absent: nvidia-smi" : `nvidia-smi: ${toErrorCode(error) ?? "error"}`;
      resolve();
    });
    child.once("exit", (code) => {
      ended ??= `nvidia-smi ended with status ${code ?? "unknown"}`;
      resolve();
    });
  });
  const ready = new Promise<{ readonly reason: string | null }>((resolve) => {
    const timer = setTimeout(() => resolve({ reason: "nvidia-smi printed nothing in time" }), readyTimeoutMs);
    const settle = (reason: string | null) => {
      clearTimeout(timer);
      resolve({ reason });
    };
    void exited.then(() => settle(ended));
    createInterface({ input: child.stdout }).on("line", (line) => {
      latest = { atMs: performance.now(), cells: line.slice(0, maxLineChars).split(",") };
      settle(null);
    });
  });

  function toCell(at: number, scale: number): Reading {
    if (ended !== null) return toMissing(ended);
    if (latest === null) return toMissing("nvidia-smi has not printed yet");
    if (performance.now() - latest.atMs > maxAgePeriods * periodS * 1_000) return toMissing("nvidia-smi fell silent");
    const text = latest.cells[at]?.trim() ?? "";
    const value = text === "" ? Number.NaN : Number(text);
    return Number.isFinite(value) ? { value: value * scale } : toMissing(`nvidia-smi says ${text || "nothing"}`);
  }

  return {
    ready,
    read: () => ({ powerW: toCell(0, 1), temperatureC: toCell(1, 1), utilization: toCell(2, 0.01) }),
    close: () => stop(child, exited),
  };
}

async function stop(child: ChildProcess, exited: Promise<void>): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) child.kill("SIGTERM");
  const timer = setTimeout(() => child.kill("SIGKILL"), 1_000);
  await exited;
  clearTimeout(timer);
}
