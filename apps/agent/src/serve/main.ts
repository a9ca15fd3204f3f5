import { openThread } from "@fairlead/inference/thread";
import { setFlagsFromString } from "node:v8";

// The heap has begun with the size that its flag asked for. While that flag is set, Node.js compiles its own modules from
// their text, here and in every thread: what it keeps compiled was made with V8's flags as they come.
setFlagsFromString("--initial-heap-size=0");
// The thread of the first model takes as long to begin as all that this process reads, so it begins before that is read:
// after a crash clients wait for both.
const firstThread = openThread();
const { runServingProcess } = await import("./serving-process.ts");
await runServingProcess(firstThread);
