import { ClientError } from "@fairlead/client";
import { describe, expect, it } from "vitest";
import { findOrSuggest, kinds } from "./not-found.ts";

const id = "rol-01k0000000000000000000abcd";
const refused = (name: string, error: Error | null, known: readonly string[] = []) =>
  findOrSuggest(kinds.rollout, name, {
    find: () => (error === null ? Promise.reject(new Error("asked")) : Promise.reject(error)),
    listNames: async () => known,
  });

describe("a name that leads nowhere", () => {
  it("is not asked for when no such thing can have it", async () => {
    await expect(refused("rol-xyz", null)).rejects.toMatchObject({
      ...{ code: "not_found", message: "no rollout is called rol-xyz" },
      hint: "fairlead rollouts list shows what there is",
    });
    await expect(refused(id.slice(0, -1), null, [id])).rejects.toMatchObject({ hint: `did you mean "${id}"?` });
  });

  it("keeps what the server says of it, and says which one was near", async () => {
    const missing = new ClientError("not_found", "there is no such rollout", { hint: "look" });
    await expect(refused(id, missing)).rejects.toMatchObject({ message: missing.message, hint: "look" });
    const near = id.replace("abcd", "abce");
    await expect(refused(id, missing, [near])).rejects.toMatchObject({ hint: `did you mean "${near}"?` });
  });

  it("is no other trouble's excuse", async () => {
    const away = new ClientError("server_unreachable", "nobody is there");
    await expect(refused(id, away)).rejects.toBe(away);
  });
});
