import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { CreateWebhookResponse } from "@fairlead/protocol";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { toEntry } from "../support/entries.ts";
import { runCli, runCliJson } from "../support/cli.ts";
import { eventually } from "../support/eventually.ts";
import { OwnedProcess } from "../support/process.ts";
import { enrol, startPlane, type Harness } from "./plane-harness.ts";

let harness: Harness;
const dir = mkdtempSync(join(tmpdir(), "attacks-cli-"));
beforeAll(async () => {
  harness = await startPlane(["--webhook-networks", "127.0.0.1", "--webhook-plain-http"]);
});
afterAll(async () => {
  await harness[Symbol.asyncDispose]();
  rmSync(dir, { recursive: true, force: true });
});

/** Markup, a script, colours, a cleared screen, a window title, a link, a bell, a reversed name, a formula, a second line. */
const hostile =
  "<img src=x onerror=alert(1)><script>alert(1)</script>\u001b[31m\u001b[2J\u001b]0;owned\u0007\u001b]8;;http://x\u001b\\\u009b31m\u202egnp.exe\r\n=cmd()|' /C calc'!A0";

describe("A61 text that others wrote", () => {
  it("A61 steers no terminal, in any form in which the command line shows it", async () => {
    await enrol(harness, "hostile-1");
    const { body: made } = await harness.call<{ tokenId: string }>("POST", "/api/v1/tokens", {
      json: { role: "viewer", description: hostile.slice(0, 200) },
    });
    const url = "http://127.0.0.1:9/in";
    const { body: hook } = await harness.call<CreateWebhookResponse>("POST", "/api/v1/webhooks", {
      json: { url, description: hostile.slice(0, 200) },
    });
    await harness.call("POST", "/api/v1/enrolments/tokens", { json: { description: hostile.slice(0, 100) } });
    const commands = [
      ["tokens", "list"],
      ["webhooks", "list"],
      ["webhooks", "describe", hook.webhook.webhookId],
      ["audit", "list"],
      ["enrolments", "list"],
      ["alerts", "list"],
      ["devices", "list"],
      ["devices", "describe", "hostile-1"],
      ["tokens", "revoke", `x${hostile}`, "--yes"],
      ["devices", "get", `x${hostile}`],
    ];
    const forms = ["wide", "json", "yaml", "name"].map((form) => ["tokens", "list", "-o", form]);
    for (const command of [...commands, ...forms]) {
      const { stdout, stderr } = await runCli(command, harness.plane.cliEnv);
      const shown = `${stdout}${stderr}`;
      expect(shown.replaceAll("\n", ""), command.join(" ")).not.toMatch(/[\p{Cc}\u202e]/u);
      expect(shown, command.join(" ")).not.toMatch(/^=cmd/mu);
    }
    const shown = await runCli(["tokens", "list"], harness.plane.cliEnv);
    expect(shown.stdout).toContain(made.tokenId);
    expect(shown.stdout).toContain("\\u001b[31m");
  }, 120_000);

  it("A61 has no spreadsheet to be a formula in: there is no CSV anywhere", async () => {
    const { stderr, code } = await runCli(["devices", "list", "-o", "csv"], harness.plane.cliEnv);
    expect(code).toBe(2);
    expect(stderr).toMatch(/table.*wide.*json.*yaml.*name/u);
    const { body } = await harness.call<object>("GET", "/api/v1/openapi.json");
    expect(JSON.stringify(body)).not.toMatch(/csv/iu);
    const answer = await harness.call("GET", "/api/v1/devices", { headers: { accept: "text/csv" } });
    expect(answer.headers["content-type"]).toBe("application/json");
  });

  it("A61 becomes no element of the status page: the page sets text, and its policy runs no other script", async () => {
    const page = readFileSync(new URL("../../apps/control-plane/src/http/page/index.html", import.meta.url), "utf8");
    expect(page).not.toMatch(
      /innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|srcdoc|\.href\s*=/u,
    );
    expect(page).toContain("textContent");
    for (const { headers } of [
      await harness.call("GET", "/api/v1/tokens"),
      await harness.call("GET", `/api/v1/devices/${encodeURIComponent("<script>")}`),
    ]) {
      expect(headers["content-type"]).toMatch(/^application\/(?:problem\+)?json$/u);
      expect(headers["x-content-type-options"]).toBe("nosniff");
      expect(headers["content-security-policy"]).toContain("default-src 'none'");
    }
  });

  it("A61 is one line of JSON in the plane's log", () => {
    for (const line of readFileSync(join(harness.dir, "plane.log"), "utf8").split("\n")) {
      expect(line).not.toMatch(/\p{Cc}/u);
    }
  });
});

describe("A64 secrets of the command line", () => {
  it("A64 are gone from the process list while it works", async () => {
    const { promise: connected, resolve } = Promise.withResolvers<void>();
    const mute = createServer((socket) => {
      socket.on("error", () => undefined);
      resolve();
    });
    await new Promise<void>((ready) => mute.listen(0, "127.0.0.1", ready));
    const server = `http://127.0.0.1:${(mute.address() as AddressInfo).port}`;
    const secret = harness.plane.token.slice(4, 40);
    await using owned = new OwnedProcess({
      ...{ name: "fairlead", entry: toEntry("cli") },
      args: ["devices", "list", "--server", server, "--token", harness.plane.token],
      env: { FAIRLEAD_CONFIG: join(dir, "none.yaml") },
    });
    await connected;
    const line = readFileSync(`/proc/${owned.pid}/cmdline`, "utf8");
    expect(line).toContain("fairlead");
    expect(line).not.toContain(secret);
    await eventually("it warns", () => owned.output.includes("warning: a token on the command line"));
    expect(owned.output).not.toContain(secret);
    await owned.kill();
    mute.close();
  });

  it("A64 come from a file that nobody else may read, or from standard input, and stand in no error", async () => {
    const { FAIRLEAD_TOKEN: _token, ...env } = harness.plane.cliEnv;
    const file = join(dir, "token");
    writeFileSync(file, `${harness.plane.token}\n`, { mode: 0o600 });
    expect(await runCli(["devices", "list", "--token-file", file], env)).toMatchObject({ code: 0, stderr: "" });
    const open = join(dir, "open");
    writeFileSync(open, harness.plane.token, { mode: 0o644 });
    expect(await runCli(["devices", "list", "--token-file", open], env)).toMatchObject({
      code: 4,
      stderr: expect.stringContaining("config_exposed") as string,
    });
    const both = await runCli(["devices", "list", "--token-file", file, "--token", harness.plane.token], env);
    expect(both.code).toBe(2);
    const secret = harness.plane.token.slice(4, 40);
    const attempts = [
      ["devices", "list", "--token", `${harness.plane.token}x`],
      ["devices", "get", "nothing", "--token-file", file],
      ["contexts", "add", "bad name!", "--token-file", file],
      ["--token", harness.plane.token, "devices", "nonsense"],
    ];
    for (const args of attempts) {
      const { stdout, stderr, code } = await runCli(args, env);
      expect(code).not.toBe(0);
      expect(`${stdout}${stderr}`, args.join(" ")).not.toContain(secret);
    }
  });

  it("A64 are in no file of the plane but as hashes, so a copy of its data folder gives no token away", async () => {
    const made = await runCliJson<{ token: string }>(["tokens", "create", "--role", "viewer"], harness.plane.cliEnv);
    const enrolment = await harness.createToken();
    const secrets = [harness.plane.token, made.token, enrolment].map((token) => token.slice(4, 40));
    const folder = join(harness.dir, "data");
    for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue;
      const text = readFileSync(join(entry.parentPath, entry.name), "latin1");
      for (const secret of secrets) expect(text.includes(secret), entry.name).toBe(false);
    }
  });
});
