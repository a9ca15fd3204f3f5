import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { toEntry } from "../support/entries.ts";
import { readCoreFile, whyNoCoreFiles, withCoreFiles } from "../support/core-files.ts";
import { eventually } from "../support/eventually.ts";
import { OwnedProcess } from "../support/process.ts";

const reason = whyNoCoreFiles();
const dir = mkdtempSync(join(tmpdir(), "attacks-crash-"));
const secret = "A64".repeat(14);
const toToken = (prefix: string) => `${prefix}_${secret}z.${"0f".repeat(32)}`;

/** Takes connections and never says a word, so that whoever asks is busy with what it was given. */
const connected: (() => void)[] = [];
const mute = createServer((socket) => {
  socket.on("error", () => undefined);
  for (const tell of connected.splice(0)) tell();
});
let port = 0;
beforeAll(async () => {
  await new Promise<void>((ready) => mute.listen(0, "127.0.0.1", ready));
  ({ port } = mute.address() as AddressInfo);
});
afterAll(() => {
  mute.close();
  rmSync(dir, { recursive: true, force: true });
});

function start(name: string, options: { readonly entry: string; readonly args: readonly string[] }): OwnedProcess {
  const cwd = join(dir, name);
  mkdirSync(cwd);
  const through = reason === undefined ? withCoreFiles : [];
  return new OwnedProcess({ name, cwd, through, env: { FAIRLEAD_CONFIG: join(cwd, "none.yaml") }, ...options });
}
const nextConnection = () => new Promise<void>((resolve) => void connected.push(resolve));
const clients = () => [
  {
    name: "fairlead",
    entry: toEntry("cli"),
    args: ["devices", "list", "--server", `http://127.0.0.1:${port}`, "--token", toToken("fla")],
  },
  {
    name: "fairlead-agent enrol",
    entry: toEntry("agent"),
    args: ["enrol", "--server", `https://127.0.0.1:${port}`, "--token", toToken("fle"), "--device", "cam-1"],
  },
];

describe("A64 secrets of a process that is looked at from outside", () => {
  it("A64 are not in the process list while the command line or the agent works with one", async () => {
    for (const { name, ...options } of clients()) {
      const asked = nextConnection();
      await using owned = start(`${name} listed`, options);
      await asked;
      const line = readFileSync(`/proc/${owned.pid}/cmdline`, "utf8");
      expect(line).toContain(name);
      expect(line).not.toContain(secret);
      await owned.kill();
    }
  });
});

describe.skipIf(reason !== undefined)(
  `A64 secrets of a process that crashed${reason === undefined ? "" : ` (skipped: ${reason})`}`,
  () => {
    it("A64 are not in the core file of the command line or the agent", async () => {
      for (const { name, ...options } of clients()) {
        const asked = nextConnection();
        await using owned = start(name, options);
        await asked;
        await owned.kill("SIGSEGV");
        const core = readCoreFile(join(dir, name));
        expect(core.startsWith("\u007fELF"), name).toBe(true);
        expect(core.includes(secret), name).toBe(false);
      }
    });

    it("A64 are not in the core file of the plane: neither a token nor a key nor a piece of its log", async () => {
      const folder = join(dir, "plane-data");
      const args = ["--data", folder, "--http-port", "0", "--mqtt-port", "0"];
      await using plane = start("plane", { entry: toEntry("plane"), args });
      await eventually("the plane is ready", () => plane.output.includes("Next "));
      const token = /fla_[\w-]{43}/u.exec(plane.output)?.[0] ?? "";
      expect(token).not.toBe("");
      const keys = ["ca.key", "server.key", "signing.key"].map((name) => readFileSync(join(folder, name), "utf8"));
      const pieces = [token, ...keys.map((pem) => pem.split("\n")[1]?.slice(0, 40) ?? ""), "Administrator token"];
      await plane.kill("SIGSEGV");
      const core = readCoreFile(join(dir, "plane"));
      expect(core.startsWith("\u007fELF")).toBe(true);
      for (const piece of pieces) {
        expect(piece.length).toBeGreaterThan(15);
        expect(core.includes(piece)).toBe(false);
      }
    });
  },
);

describe("A64 a token in the wrong place", () => {
  const token = toToken("fla");
  const hook = `whsec_${Buffer.from(secret).toString("base64")}`;
  const [cli, agent, plane] = [toEntry("cli"), toEntry("agent"), toEntry("plane")];
  it.each<[string, string[]]>([
    [cli, [token]],
    [cli, ["devices", token]],
    [cli, ["devices", "list", token]],
    [cli, ["devices", "list", `--${token}`]],
    [cli, ["devices", "list", "-o", token]],
    [cli, ["devices", "list", "--server", `https://127.0.0.1:1/${token}`]],
    [cli, ["devices", "list", "--server", `https://ada:${secret}@127.0.0.1:1`]],
    [cli, ["devices", "list", "--server", `https://127.0.0.1:1/${hook}`]],
    [cli, ["contexts", "use", token]],
    [agent, [token]],
    [agent, ["enrol", token]],
    [agent, ["enrol", `--${token}`]],
    [agent, ["enrol", "--token", `${token}x`, "--server", "https://127.0.0.1:1", "--device", "cam-1"]],
    [agent, ["enrol", "--token", toToken("fle"), "--server", `https://u:${secret}@127.0.0.1:1`, "--device", "cam-1"]],
    [plane, [token]],
    [plane, [`--${token}`]],
    [plane, ["--http-port", token]],
    [plane, ["--oidc", `/none/${token}`]],
  ])("A64 is not repeated by %s, place %#", async (entry, args) => {
    await using owned = new OwnedProcess({
      name: "wrong",
      entry,
      args,
      cwd: dir,
      env: { FAIRLEAD_CONFIG: join(dir, "c") },
    });
    expect(await owned.exited()).not.toBe(0);
    expect(owned.output).not.toBe("");
    for (const piece of [secret, Buffer.from(secret).toString("base64")])
      expect(owned.output.includes(piece), owned.output.slice(0, 400)).toBe(false);
  });
});
