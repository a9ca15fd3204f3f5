import { availableParallelism } from "node:os";
import { isAbsolute } from "node:path";
import type { OperatorPolicy } from "@fairlead/inference/inspect";
import type { ServingAddress, ServingConfig } from "./ipc.ts";
import { isLoopback } from "./loopback.ts";
import { parseExpectedModels } from "./expected-models.ts";
import { ServeError } from "./serving-error.ts";
import { parseSidecars } from "./sidecars.ts";

export interface BodyLimits {
  /** One body, as sent and decompressed, in bytes. */
  readonly each: number;
  /** All bodies that are in memory at the same time, from their first byte to their answer. */
  readonly together: number;
}

export type ResolvedServingConfig = Omit<Required<ServingConfig>, "maxBodyBytes" | "maxBodiesBytes"> & {
  readonly bodyLimits: BodyLimits;
};

/** Reads the process's only argument. Without zod on purpose: it would be the largest thing in this process after ONNX Runtime. */
export function parseServingConfig(argument: string | undefined): ResolvedServingConfig {
  const value = parseJson(argument);
  const { inflightPath } = value;
  if (typeof inflightPath !== "string" || inflightPath === "") throw invalid("inflightPath is missing");
  return {
    address: parseAddress(value["address"]),
    inflightPath,
    bodyLimits: parseBodyLimits(value),
    maxQueue: parseCount(value, "maxQueue", 64),
    maxSockets: parseCount(value, "maxSockets", 2_048),
    runtimes: parseSidecars(value["runtimes"]),
    lanes: parseCount(value, "lanes", availableParallelism()),
    memoryBudgetBytes: (value["memoryBudgetBytes"] ?? null) === null ? null : parseCount(value, "memoryBudgetBytes", 1),
    memoryLimitBytes: (value["memoryLimitBytes"] ?? null) === null ? null : parseCount(value, "memoryLimitBytes", 1),
    memoryReserveBytes: parseCount(value, "memoryReserveBytes", 16_777_216),
    unloadIdleMs: parseCount(value, "unloadIdleMs", 30_000),
    acceleratorRetry: parseRetry(value["acceleratorRetry"]),
    isolated: parseNames(value["isolated"]),
    sharedMemory: value["sharedMemory"] === true,
    repository: value["repository"] === true,
    models: parseOperatorPolicy(value["models"]),
    inline: value["inline"] !== false,
    profileFolder: parseFolder(value["profileFolder"]),
    expected: parseExpectedModels(value["expected"]),
  };
}

/**
 * A quarter of the memory limit: what is read takes half as much again in chunks and what the allocator keeps, and beyond the
 * limit the process ends and names a model that may have done nothing.
 */
function parseBodyLimits(value: Readonly<Record<string, unknown>>): BodyLimits {
  const given = parseCount(value, "maxBodiesBytes", 268_435_456);
  const limit = value["memoryLimitBytes"] ?? null;
  const share = limit === null ? given : Math.ceil(parseCount(value, "memoryLimitBytes", 1) / 4);
  const together = Math.min(given, share);
  return { each: Math.min(parseCount(value, "maxBodyBytes", 67_108_864), together), together };
}

function parseRetry(value: unknown): ResolvedServingConfig["acceleratorRetry"] {
  const given: Readonly<Record<string, unknown>> = typeof value === "object" && value !== null ? { ...value } : {};
  const firstMs = parseCount(given, "firstMs", 30_000);
  return { firstMs, maxMs: Math.max(firstMs, parseCount(given, "maxMs", 1_800_000)) };
}

function parseNames(value: unknown): readonly string[] {
  if (value === undefined) return [];
  if (!Array.isArray(value) || value.length > 8) throw invalid("isolated is no list of 8");
  return value.map((name: unknown) => {
    if (typeof name !== "string" || name === "cpu") throw invalid("isolated names no accelerator");
    return name;
  });
}

/** Fails closed: a policy that cannot be read admits no process, not every model. */
function parseOperatorPolicy(value: unknown): OperatorPolicy {
  if (value === undefined) return {};
  const { allowDomains, denyOperators }: Readonly<Record<string, unknown>> = Object(value);
  if (!isNames(allowDomains) || !isNames(denyOperators)) throw invalid("models is no policy for operators");
  return { allowDomains, denyOperators };
}

function isNames(value: unknown): value is string[] {
  return Array.isArray(value) && value.length <= 256 && value.every((name) => typeof name === "string");
}

function parseFolder(value: unknown): string | null {
  if (value === undefined || value === null) return null;
  if (typeof value !== "string" || !isAbsolute(value)) throw invalid("profileFolder is no absolute path");
  return value;
}

function parseJson(argument: string | undefined): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(argument ?? "");
    if (typeof value === "object" && value !== null) return { ...value };
  } catch (error) {
    throw new ServeError("config_invalid", "the argument is no JSON", error);
  }
  throw invalid("the argument is no JSON object");
}

function parseAddress(value: unknown): ServingAddress {
  if (typeof value !== "object" || value === null) throw invalid("address is missing");
  const { kind, host, port, socketPath }: Readonly<Record<string, unknown>> = { ...value };
  if (kind === "unix" && typeof socketPath === "string") return { kind, socketPath };
  if (kind !== "tcp" || typeof host !== "string" || !Number.isInteger(port)) throw invalid("address is incomplete");
  if (!isLoopback(host)) throw invalid(`${host} is no loopback address; the endpoint has no authentication`);
  return { kind, host, port: Number(port) };
}

function parseCount(value: Readonly<Record<string, unknown>>, name: string, fallback: number): number {
  const count = value[name] ?? fallback;
  if (!Number.isSafeInteger(count) || Number(count) < 1) throw invalid(`${name} is no count`);
  return Number(count);
}

function invalid(message: string): ServeError {
  return new ServeError("config_invalid", message);
}
