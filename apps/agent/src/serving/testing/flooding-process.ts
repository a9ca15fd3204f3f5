/* Writes 100,000 lines on stderr, each with words that no other has, and then behaves as a serving process that is ready. */

const letters = "abcdefghij";
const toWord = (index: number) => String(index).replaceAll(/\d/gu, (digit) => letters[Number(digit)] ?? "");
const lines = Array.from({ length: 100_000 }, (_, index) => `the driver does not like ${toWord(index)}\n`);

process.stderr.write(lines.join(""), () => {
  process.send?.({ event: { kind: "ready", address: { kind: "tcp", host: "127.0.0.1", port: 1 }, pid: process.pid } });
});
process.on("message", (message: { id: number; request: { kind: string } }) => {
  process.send?.({ id: message.id, ok: true, result: {} });
  if (message.request.kind === "shutdown") process.exit(0);
});
