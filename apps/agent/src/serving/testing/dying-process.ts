/* A serving process that is ready and then dies of something that nobody sees. */

const ready = { event: { kind: "ready", address: { kind: "tcp", host: "127.0.0.1", port: 1 }, pid: process.pid } };
process.send?.(ready, undefined, undefined, () => process.kill(process.pid, "SIGSEGV"));
