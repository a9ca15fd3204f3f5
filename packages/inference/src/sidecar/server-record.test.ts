import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { noteServer, readSidecarServer, toServerName } from "./server-record.ts";

const dir = mkdtempSync(join(tmpdir(), "server-record-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

it("keeps name and version until another or none is noted", () => {
  const path = join(dir, "server");
  expect(readSidecarServer(path)).toBeNull();
  noteServer(path, "triton 2.50.0");
  expect(readSidecarServer(path)).toBe("triton 2.50.0");
  noteServer(path, "triton 2.51.0");
  expect(readSidecarServer(path)).toBe("triton 2.51.0");
  noteServer(path, null);
  expect(readSidecarServer(path)).toBeNull();
});

it("takes from what a server says of itself one short line, or nothing", () => {
  expect(toServerName({ name: "triton", version: "2.50.0", extensions: [] })).toBe("triton 2.50.0");
  expect(toServerName({ version: "1\n2" })).toBe("server 1 2");
  expect(toServerName({ name: "x".repeat(500), version: "1" })).toHaveLength(128);
  for (const nothing of [null, 1, [], {}, { version: 2 }, { version: "" }]) expect(toServerName(nothing)).toBeNull();
});
