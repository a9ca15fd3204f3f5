import { chmodSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { loadConfig, saveConfig, toConfigPath } from "./config-file.ts";
import { requireSafeTransport, resolveTarget } from "./resolve.ts";
import { parseToken } from "./token.ts";

let folder = "";
let path = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "fairlead-cli-"));
  path = join(folder, "deep", "config.yaml");
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const secret = "fla_0123456789abcdefghij";

it("writes contexts so that only their owner reads them", () => {
  saveConfig(path, { current: "lab", contexts: { lab: { server: "https://plane:8443", token: secret } } });
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(loadConfig(path)).toEqual({
    current: "lab",
    contexts: { lab: { server: "https://plane:8443", token: secret } },
  });
});

it.each([0o640, 0o604, 0o660])("refuses a file with mode %o and says what to do", (mode) => {
  saveConfig(path, { current: null, contexts: {} });
  chmodSync(path, mode);
  expect(() => loadConfig(path)).toThrow(
    expect.objectContaining({ code: "config_exposed", hint: expect.stringContaining("chmod 600") }),
  );
});

it("takes a missing file for an empty one and refuses a broken one", () => {
  expect(loadConfig(path)).toEqual({ current: null, contexts: {} });
  const broken = join(folder, "broken.yaml");
  writeFileSync(broken, "contexts: [", { mode: 0o600 });
  expect(() => loadConfig(broken)).toThrow(expect.objectContaining({ code: "config_invalid" }));
});

it("looks where the environment says", () => {
  expect(toConfigPath({ FAIRLEAD_CONFIG: "/a/b.yaml" })).toBe("/a/b.yaml");
  expect(toConfigPath({ XDG_CONFIG_HOME: "/x" })).toBe("/x/fairlead/config.yaml");
});

it("prefers flags, then a named context, then the environment, then the current context", async () => {
  saveConfig(path, {
    current: "lab",
    contexts: { lab: { server: "https://lab:1", token: secret }, site: { server: "https://site:1", token: secret } },
  });
  const env = { FAIRLEAD_CONFIG: path };
  const both = { ...env, FAIRLEAD_SERVER: "https://env:1", FAIRLEAD_TOKEN: secret };
  const serverOf = async (flags: object, from: Record<string, string>) =>
    (await resolveTarget({ flags, env: from, timeoutMs: 100, nowMs: () => 0 })).server;
  expect(await serverOf({}, env)).toBe("https://lab:1");
  expect(await serverOf({}, both)).toBe("https://env:1");
  expect(await serverOf({ context: "site" }, both)).toBe("https://site:1");
  expect(await serverOf({ server: "https://flag:1/" }, both)).toBe("https://flag:1");
  await expect(serverOf({ context: "sit" }, env)).rejects.toMatchObject({
    code: "context_unknown",
    hint: 'did you mean "site"?',
  });
});

it.each<[string, object, string]>([
  ["to the current context", {}, "env"],
  ["to a context that is named", { context: "site" }, "env"],
  ["to a server that is named", { server: "https://127.0.0.1:1" }, "env"],
  ["before a flag", { context: "site", token: `${secret}flag` }, "flag"],
])("prefers the environment's token, sent %s", async (_when, flags, who) => {
  const named = (server: string) => ({ server: `https://${server}:1`, token: `${secret}context`, ca: "pem" });
  saveConfig(path, { current: "lab", contexts: { lab: named("lab"), site: named("site") } });
  const env = { FAIRLEAD_CONFIG: path, FAIRLEAD_TOKEN: `${secret}env` };
  const tokenOf = async (from: Record<string, string>) =>
    (await resolveTarget({ flags, env: from, timeoutMs: 100, nowMs: () => 0 })).token;
  expect(await tokenOf(env)).toBe(`${secret}${who}`);
  const without = { ...env, FAIRLEAD_TOKEN: "" };
  expect(await tokenOf(without)).toBe(
    who === "flag" ? `${secret}flag` : "server" in flags ? undefined : `${secret}context`,
  );
});

it("takes the environment's token without renewing a sign-in that is over", async () => {
  const login = { issuer: "https://issuer:1", clientId: "cli", tokenUse: "access_token", expiresAtMs: 1 } as const;
  saveConfig(path, { current: "lab", contexts: { lab: { server: "https://lab:1", token: secret, ca: "pem", login } } });
  const tokenOf = async (token: string) => {
    const env = { FAIRLEAD_CONFIG: path, FAIRLEAD_TOKEN: token };
    return (await resolveTarget({ flags: {}, env, timeoutMs: 100, nowMs: () => 100_000 })).token;
  };
  expect(await tokenOf(`${secret}env`)).toBe(`${secret}env`);
  await expect(tokenOf("")).rejects.toMatchObject({ code: "login_expired" });
});

it("hands a token of one plane to no other", async () => {
  const token = (digit: string) => `${secret}.${digit.repeat(64)}`;
  saveConfig(path, {
    current: "lab",
    contexts: { lab: { server: "https://lab:1", token: token("a"), ca: "pem" } },
  });
  const env = { FAIRLEAD_CONFIG: path, FAIRLEAD_TOKEN: token("b") };
  await expect(resolveTarget({ flags: {}, env, timeoutMs: 100, nowMs: () => 0 })).rejects.toMatchObject({
    code: "fingerprint_mismatch",
    hint: expect.stringContaining("unset FAIRLEAD_TOKEN"),
  });
});

it("does not send a context's token to another server", async () => {
  saveConfig(path, { current: "lab", contexts: { lab: { server: "https://lab:1", token: secret, ca: "pem" } } });
  const target = await resolveTarget({
    flags: { server: "https://elsewhere:1" },
    env: { FAIRLEAD_CONFIG: path },
    timeoutMs: 100,
    nowMs: () => 0,
  });
  expect(target).toEqual({ server: "https://elsewhere:1", token: undefined, ca: undefined });
});

it("refuses a token over plain HTTP except to this machine", () => {
  expect(() => requireSafeTransport("http://plane:80")).toThrow(/not encrypted/u);
  expect(() => requireSafeTransport("http://127.0.0.1:80")).not.toThrow();
});

it("never repeats a malformed token", () => {
  const enrolment = `fle_${"s".repeat(43)}`;
  expect(() => parseToken(enrolment)).toThrow(expect.objectContaining({ message: expect.not.stringContaining("sss") }));
  expect(parseToken(`${secret}.${"a".repeat(64)}`).fingerprint).toBe("a".repeat(64));
});
