import { silentLogger } from "@fairlead/kernel";
import { exportJWK, generateKeyPair, type JWK } from "jose";
import { describe, expect, it } from "vitest";
import { createKeySource } from "./key-source.ts";

const issuer = "https://id.example/realm";

async function createKey(kid: string): Promise<JWK> {
  return { ...(await exportJWK((await generateKeyPair("ES256")).publicKey)), kid, alg: "ES256" };
}

function createIssuer(first: readonly unknown[]) {
  const state = { keys: first, isDown: false, named: issuer, nowMs: 0, asked: [] as string[] };
  const findKey = createKeySource({
    issuer,
    logger: silentLogger,
    clock: { monotonicMs: () => state.nowMs },
    fetchDocument: async (url) => {
      state.asked.push(url);
      if (state.isDown) throw new Error("down");
      return url.endsWith("openid-configuration")
        ? JSON.stringify({ issuer: state.named, jwks_uri: "https://keys.example/jwks" })
        : JSON.stringify({ keys: state.keys });
    },
  });
  const find = async (kid: string) => await findKey({ alg: "ES256", kid }, { payload: "", signature: "" });
  return { state, find };
}

describe("the issuer's keys", () => {
  it("are read once, from where the issuer says, for many tokens at the same time", async () => {
    const { state, find } = createIssuer([await createKey("a")]);
    await Promise.all(Array.from({ length: 20 }, () => find("a")));
    expect(state.asked).toEqual([`${issuer}/.well-known/openid-configuration`, "https://keys.example/jwks"]);
  });

  it("are read again for an unknown name, at most every five seconds", async () => {
    const { state, find } = createIssuer([await createKey("a")]);
    await find("a");
    state.keys = [...state.keys, await createKey("b")];
    state.nowMs = 4_999;
    await expect(find("b")).rejects.toMatchObject({ code: "ERR_JWKS_NO_MATCHING_KEY" });
    expect(state.asked).toHaveLength(2);
    state.nowMs = 5_000;
    await expect(find("b")).resolves.toBeDefined();
    expect(state.asked).toHaveLength(4);
  });

  it("end ten minutes after the issuer withdrew them", async () => {
    const { state, find } = createIssuer([await createKey("a")]);
    await find("a");
    state.keys = [await createKey("b")];
    state.nowMs = 599_999;
    await expect(find("a")).resolves.toBeDefined();
    state.nowMs = 600_000;
    await expect(find("a")).rejects.toMatchObject({ code: "ERR_JWKS_NO_MATCHING_KEY" });
  });

  it("serve for an hour while the issuer is down, and then nobody is let in", async () => {
    const { state, find } = createIssuer([await createKey("a")]);
    await find("a");
    state.isDown = true;
    state.nowMs = 3_599_999;
    await expect(find("a")).resolves.toBeDefined();
    state.nowMs = 3_600_000;
    await expect(find("a")).rejects.toMatchObject({ code: "unavailable" });
  });

  it("of a document that names another issuer are not taken", async () => {
    const { state, find } = createIssuer([await createKey("a")]);
    state.named = "https://other.example";
    await expect(find("a")).rejects.toMatchObject({ code: "unavailable" });
    expect(state.asked).toHaveLength(1);
  });

  it("A48 are public halves only: a shared secret among them is not one, and spoils nothing", async () => {
    const secret = { kty: "oct", k: "c2VjcmV0", kid: "s", alg: "HS256" };
    const { find } = createIssuer([secret, { kty: 7 }, "text", await createKey("a")]);
    await expect(find("s")).rejects.toMatchObject({ code: "ERR_JWKS_NO_MATCHING_KEY" });
    await expect(find("a")).resolves.toBeDefined();
  });
});
