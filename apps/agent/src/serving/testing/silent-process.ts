/* A serving process that is ready, answers what costs nothing, and never answers a load. */

process.on("message", ({ id, request }: { id: number; request: { kind: string } }) => {
  if (request.kind === "load") return;
  process.send?.({ id, ok: true, result: {} });
  if (request.kind === "shutdown") process.exit(0);
});
process.send?.({ event: { kind: "ready", address: { kind: "tcp", host: "127.0.0.1", port: 1 }, pid: process.pid } });
