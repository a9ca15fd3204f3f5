import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, it } from "vitest";
import { createFetchDocument } from "./fetch-document.ts";

const clock = { nowMs: () => Date.now(), monotonicMs: () => performance.now() };
const options = { ca: undefined, clock, maxBytes: 1_000, timeoutMs: 300 };

/** What the document is when a server on this machine answers like this. */
async function fetchFrom(answer: RequestListener): Promise<string> {
  const server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    const { port } = server.address() as AddressInfo;
    return await createFetchDocument(options)(`http://127.0.0.1:${port}/document`);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

it("reads a small document", async () => {
  expect(await fetchFrom((_request, response) => response.end("{}"))).toBe("{}");
});

it.each<readonly [string, RequestListener]>([
  ["too large", (_request, response) => response.end("x".repeat(1_001))],
  ["without an end", (_request, response) => void response.write("{")],
  ["that never begins", () => undefined],
  ["that broke off", (_request, response) => void response.write("{", () => response.destroy())],
  ["elsewhere", (_request, response) => response.writeHead(302, { location: "http://127.0.0.1:1/" }).end()],
  ["that is an error", (_request, response) => response.writeHead(500).end("{}")],
])("refuses a document %s", async (_what, answer) => {
  await expect(fetchFrom(answer)).rejects.toMatchObject({ code: "unavailable" });
});

it.each(["http://id.example/", "file:///etc/passwd", "gopher://localhost/", "https://user:secret@id.example/", "id"])(
  "asks nobody at %s",
  async (url) => {
    await expect(createFetchDocument(options)(url)).rejects.toMatchObject({ code: "unavailable" });
  },
);
