import { join } from "node:path";
import { createOpenInferenceRuntime } from "../sidecar/open-inference-runtime.ts";
import { mlpModel } from "./example-models.ts";
import { oipServerPath } from "./sidecar-server.ts";

/* A process that has a sidecar and is killed by its test: what is left of the sidecar then is what the test looks at. */

process.on("message", ({ folder, socketPath }: { readonly folder: string; readonly socketPath: string }) => {
  const { promise: child, resolve } = Promise.withResolvers<number>();
  const runtime = createOpenInferenceRuntime({
    name: "second",
    command: [process.execPath, oipServerPath, "--child", "--socket", socketPath, "--repository", "{repository}"],
    url: `unix:${socketPath}`,
    folder: join(folder, "runtime"),
    onEvent: (event) => {
      const found = event.kind === "output" ? /^child (\d+)$/u.exec(event.line)?.[1] : undefined;
      if (found !== undefined) resolve(Number(found));
    },
  });
  void runtime
    .load(mlpModel({ widths: [8, 16, 4] }))
    .then(async () => process.send?.({ pid: runtime.pid, child: await child }));
});
