import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { afterAll, beforeAll, expect, it } from "vitest";
import { runCli, type CliAnswer } from "../support/cli.ts";
import { OidcPlane } from "../support/oidc-plane.ts";
import { eventually } from "../support/eventually.ts";
import type { OidcProvider } from "../support/oidc-provider.ts";

const site = new OidcPlane();
const { dir, plane } = site;
const configPath = join(dir, "person", "config.yaml");
const env = { FAIRLEAD_CONFIG: configPath, FAIRLEAD_SERVER: "", FAIRLEAD_TOKEN: "" };
const person = { subject: "ada", claims: { groups: ["fleet-ops"], place: { sites: ["berlin"] } } };
let provider: OidcProvider;

const cli = (...args: string[]): Promise<CliAnswer> => runCli(args, env);
const readContext = () =>
  (
    parse(readFileSync(configPath, "utf8")) as {
      contexts: Record<string, { token: string; login: { refreshToken: string } }>;
    }
  ).contexts["plant"];
async function login(decision: Parameters<OidcProvider["decide"]>[0]): Promise<CliAnswer> {
  const flags = ["--server", plane.url, "--ca", join(dir, "data", "ca.pem"), "--issuer-ca", join(dir, "issuer.pem")];
  const running = cli("login", "plant", ...flags);
  await eventually("the sign-in waits for a person", () => provider.waiting === 1);
  provider.decide(decision);
  return await running;
}

beforeAll(async () => {
  await site.start();
  ({ provider } = site);
}, 60_000);
afterAll(() => site[Symbol.asyncDispose]());

it("a person who refuses the code in the browser is not signed in", async () => {
  const answer = await login("denied");
  expect(answer).toMatchObject({ code: 4, stderr: expect.stringContaining("login_refused") });
});

it("a person who confirms the code works with a token that only its owner can read", async () => {
  const answer = await login(person);
  expect(answer.code, answer.stderr).toBe(0);
  expect(answer.stderr).toContain(`${provider.issuer}/enter`);
  expect(statSync(configPath).mode & 0o777).toBe(0o600);
  const { token, login: kept } = readContext() ?? { token: "none", login: { refreshToken: "none" } };
  expect(answer.stdout + answer.stderr).not.toContain(token);
  expect(answer.stdout + answer.stderr).not.toContain(kept.refreshToken);
  const listed = await cli("devices", "list", "-o", "name");
  expect([listed.code, listed.stdout.trim()], listed.stderr).toEqual([0, "berlin-1"]);
});

it("the token is renewed before it ends, and the one that renewed it is not used again", async () => {
  provider.tokenLifeS = 20;
  expect((await login(person)).code).toBe(0);
  const first = readContext();
  expect((await cli("devices", "list")).code).toBe(0);
  const second = readContext();
  expect(second?.token).not.toBe(first?.token);
  expect(second?.login.refreshToken).not.toBe(first?.login.refreshToken);
  expect(statSync(configPath).mode & 0o777).toBe(0o600);
  expect((await cli("devices", "list")).code).toBe(0);
});

it("a person who was signed out at the issuer is told to sign in again", async () => {
  provider.forgetRefreshTokens();
  const answer = await cli("devices", "list");
  expect(answer).toMatchObject({ code: 4, stderr: expect.stringContaining("hint: fairlead login") });
});

it("nothing of a sign-in is left after a logout", async () => {
  expect((await cli("logout")).code).toBe(0);
  expect(readContext()).toEqual({ server: plane.url, ca: expect.any(String) });
  expect((await cli("devices", "list")).code).toBe(4);
});
