import type { InferenceRuntime, LoadOptions } from "./port.ts";
import { RuntimeError } from "./runtime-error.ts";
import type { SidecarRuntime } from "./sidecar/open-inference-runtime.ts";

export interface RuntimesOptions {
  /** What a load without a name gets. */
  readonly own: InferenceRuntime;
  readonly sidecars: readonly SidecarRuntime[];
}

/** Several runtimes as one: a load names its own, or gets the one in this process. */
export interface Runtimes extends InferenceRuntime {
  /** Ends the servers at once. */
  kill(): void;
  close(): Promise<void>;
}

export function createRuntimes({ own, sidecars }: RuntimesOptions): Runtimes {
  const choose = ({ runtime }: LoadOptions): InferenceRuntime => {
    if (runtime === undefined || runtime === own.name) return own;
    const found = sidecars.find((sidecar) => sidecar.name === runtime);
    if (found !== undefined) return found;
    const names = [own, ...sidecars].map(({ name }) => name).join(", ");
    throw new RuntimeError("runtime_unknown", `no runtime '${runtime}'; there are: ${names}`);
  };
  return {
    name: own.name,
    load: async (model, options = {}) => choose(options).load(model, options),
    kill: () => {
      for (const sidecar of sidecars) sidecar.kill();
    },
    close: async () => void (await Promise.all(sidecars.map((sidecar) => sidecar.close()))),
  };
}
