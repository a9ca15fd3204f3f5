import type { OnnxInferenceRuntime } from "@fairlead/inference";
import { runBenchmark } from "./benchmark.ts";
import type { HttpServer } from "./http-server.ts";
import { parseGoldenSet } from "./golden.ts";
import type {
  BenchmarkRequest,
  BenchmarkResult,
  SelfTestRequest,
  SelfTestResult,
  ServingRequest,
  ServingRequestMessage,
  ServingResponseMessage,
  ServingResults,
} from "./ipc.ts";
import type { Loads } from "./loads.ts";
import type { RepositoryAsks } from "./repository-asks.ts";
import { runSelfTest } from "./self-test.ts";
import { ServeError, toServingError } from "./serving-error.ts";
import { readVerifiedFile } from "./verified-file.ts";

/** Same as `limits.goldenBytes` of @fairlead/protocol, which would bring zod into this process. */
const maxGoldenBytes = 16_777_216;

type Handlers = {
  readonly [Kind in ServingRequest["kind"]]: (
    request: Extract<ServingRequest, { kind: Kind }>,
  ) => ServingResults[Kind] | Promise<ServingResults[Kind]>;
};

export type IpcHandler = (message: ServingRequestMessage) => Promise<ServingResponseMessage>;

/** Answers the supervisor's requests, one handler per kind. Never rejects. */
export function createIpcHandler(
  loads: Loads,
  server: HttpServer,
  parts: { readonly runtime: Pick<OnnxInferenceRuntime, "listOffered">; readonly repository: RepositoryAsks },
): IpcHandler {
  const handlers: Handlers = {
    load: (request) => loads.open(request),
    "self-test": (request) => selfTest(loads, request),
    benchmark: (request) => benchmark(loads, request),
    activate: ({ slot, loadId }) => loads.activate(slot, loadId),
    shadow(request) {
      loads.shadow(request);
      return {};
    },
    async unload({ loadId }) {
      await loads.close(loadId);
      return {};
    },
    "stop-serving"({ slot, reason }) {
      loads.stop(slot, reason);
      return {};
    },
    collect: () => ({ loads: loads.takeStatistics() }),
    "repository-done"({ askId, refusal }) {
      parts.repository.settle(askId, refusal);
      return {};
    },
    throttle({ throttled }) {
      loads.setThrottled(throttled);
      return {};
    },
    offers: async () => ({ providers: await parts.runtime.listOffered() }),
    ping: () => ({ rssBytes: process.memoryUsage.rss(), loads: loads.size, inflight: loads.inflight }),
    async shutdown({ drainMs }) {
      await server.drain(drainMs);
      return {};
    },
  };
  return async ({ id, request }) => {
    try {
      return { id, ok: true, result: await dispatch(handlers, request) };
    } catch (error) {
      return { id, ok: false, error: toServingError(error) };
    }
  };
}

async function dispatch(handlers: Handlers, request: ServingRequest): Promise<ServingResults[ServingRequest["kind"]]> {
  if (!Object.hasOwn(handlers, request.kind))
    throw new ServeError("request_invalid", `no request '${String(request.kind)}'`);
  // The table pairs every kind with its own handler; the compiler cannot follow an index that is a union.
  const handler = handlers[request.kind] as (request: ServingRequest) => ServingResults[ServingRequest["kind"]];
  return handler(request);
}

async function selfTest(loads: Loads, request: SelfTestRequest): Promise<SelfTestResult> {
  const load = loads.get(request.loadId);
  const cases = parseGoldenSet(await readVerifiedFile(request.golden, maxGoldenBytes));
  const { latencyP95Ms, minPassedRatio = 1 } = request.limits;
  return runSelfTest(load, cases, { latencyP95Ms, minPassedRatio, repeats: request.repeats });
}

async function benchmark(loads: Loads, { loadId, golden, durationMs }: BenchmarkRequest): Promise<BenchmarkResult> {
  const load = loads.get(loadId);
  const cases = golden === null ? null : parseGoldenSet(await readVerifiedFile(golden, maxGoldenBytes));
  return runBenchmark(load, cases, durationMs);
}
