import { openThread } from "@fairlead/inference/thread";

// The thread of the first model takes as long to begin as all that this process reads, so it begins before that is read:
// after a crash clients wait for both.
const firstThread = openThread();
const { runServingProcess } = await import("./serving-process.ts");
await runServingProcess(firstThread);
