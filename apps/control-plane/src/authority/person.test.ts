import { describe, expect, it } from "vitest";
import { areTwoPeople, findPerson } from "./person.ts";

describe("two people", () => {
  it("are two names that differ in more than small and capital letters", () => {
    expect(areTwoPeople("ada", "bob")).toBe(true);
    expect(areTwoPeople("ada", "ada")).toBe(false);
    expect(areTwoPeople("ada", "ADA")).toBe(false);
  });

  it("are never made of somebody whom the plane does not know", () => {
    expect(areTwoPeople(undefined, "bob")).toBe(false);
    expect(areTwoPeople("ada", undefined)).toBe(false);
    expect(areTwoPeople(undefined, undefined)).toBe(false);
  });
});

describe("the person behind an actor", () => {
  const rows = new Map([["adm-1", { person: "ada" }]]);
  const from = { adminTokens: { get: async (tokenId: string) => rows.get(tokenId) } } as unknown as Parameters<
    typeof findPerson
  >[0];

  it("is who the issuer says, or whose token it is", async () => {
    expect(await findPerson(from, "oidc:https://id.example#ada")).toBe("oidc:https://id.example#ada");
    expect(await findPerson(from, "operator:adm-1")).toBe("ada");
    expect(await findPerson(from, "operator:adm-2")).toBeUndefined();
    expect(await findPerson(from, "anonymous")).toBeUndefined();
  });
});
