import { existsSync } from "node:fs";

/* A serving process that says why it cannot start, as long as the file at its address is there. */

const { address } = JSON.parse(process.argv[2] ?? "") as { address: { socketPath: string } };
process.on("message", ({ id, request }: { id: number; request: { kind: string } }) => {
  process.send?.({ id, ok: true, result: {} });
  if (request.kind === "shutdown") process.exit(0);
});
if (existsSync(address.socketPath)) {
  const error = { code: "port_taken", message: "it is taken", hint: "Take another." };
  process.send?.({ event: { kind: "start-failed", error } }, undefined, undefined, () => process.exit(1));
} else process.send?.({ event: { kind: "ready", address, pid: process.pid } });
