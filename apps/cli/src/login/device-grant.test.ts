import { describe, expect, it } from "vitest";
import { CliError } from "../errors.ts";
import { awaitLogin, parseStarted } from "./device-grant.ts";
import type { IssuerAnswer } from "./issuer.ts";

const started = {
  device_code: "d",
  user_code: "U",
  verification_uri: "https://id.example",
  expires_in: 60,
  interval: 2,
};
const no = (error: string): IssuerAnswer => ({ status: 400, body: { error } });
const yes: IssuerAnswer = { status: 200, body: { id_token: "i", access_token: "a", expires_in: 5 } };

/** Waits without time passing for anybody but the grant; the answers in order, null for an issuer that is away. */
function wait(answers: readonly (IssuerAnswer | null)[]) {
  const waitedMs: number[] = [];
  let nowMs = 0;
  const login = awaitLogin({
    started,
    nowMs: () => nowMs,
    wait: async (delayMs) => {
      waitedMs.push(delayMs);
      nowMs += delayMs;
    },
    ask: async () => {
      const answer = answers[waitedMs.length - 1];
      if (answer === null) throw new CliError("issuer_unreachable", "away");
      return answer ?? no("authorization_pending");
    },
  });
  return { login, waitedMs };
}

describe("waiting for a person to confirm", () => {
  it("asks as often as the issuer said, more slowly when it says so, and half as often when it is away", async () => {
    const { login, waitedMs } = wait([no("authorization_pending"), no("slow_down"), null, yes]);
    await expect(login).resolves.toEqual({
      idToken: "i",
      accessToken: "a",
      refreshToken: undefined,
      accessEndsAtMs: 30_000,
    });
    expect(waitedMs).toEqual([2_000, 2_000, 7_000, 14_000]);
  });

  it("ends when the code does", async () => {
    const { login, waitedMs } = wait([]);
    await expect(login).rejects.toMatchObject({ code: "login_expired" });
    expect(waitedMs).toHaveLength(30);
    await expect(wait([no("expired_token")]).login).rejects.toMatchObject({ code: "login_expired" });
  });

  it.each(["access_denied", "invalid_grant", "anything else"])("ends with %s", async (error) => {
    await expect(wait([no(error)]).login).rejects.toMatchObject({ code: "login_refused" });
  });
});

it.each([
  ["another scheme to open", { ...started, verification_uri: "javascript:alert(1)" }],
  ["no time between two questions", { ...started, interval: 0 }],
  ["no code", { ...started, user_code: "" }],
])("a beginning with %s is refused", (_what, body) => {
  expect(() => parseStarted({ status: 200, body })).toThrow(expect.objectContaining({ code: "login_refused" }));
});
