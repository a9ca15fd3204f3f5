import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isInScope } from "../scope.ts";
import { parseOidcConfig } from "./config.ts";
import { toGrant } from "./grant.ts";

const text = `
issuer: https://id.example
clientId: fairlead
roles:
  claim: [realm_access, roles]
  values:
    - { value: boss, role: admin }
    - { value: crew, role: operator }
selectors:
  claim: site
  values:
    - { value: all, wholeFleet: true }
    - { value: berlin, selector: site=berlin }
`;
const config = parseOidcConfig(text);
const value = fc.constantFrom("boss", "crew", "all", "berlin", "guest", "");
const claim = fc.oneof(value, fc.array(fc.oneof(value, fc.integer()), { maxLength: 4 }), fc.anything());
const claims = fc.record({ realm_access: fc.oneof(fc.record({ roles: claim }), fc.anything()), site: claim });

describe("what claims give", () => {
  it("is a mapped role, and only for somebody who holds its value", () => {
    fc.assert(
      fc.property(claims, (given) => {
        const grant = toGrant(config, given);
        if (grant === null) return;
        const { roles } = given.realm_access as { roles: unknown };
        const held = Array.isArray(roles) ? roles : [roles];
        expect(held).toContain(grant.role === "admin" ? "boss" : "crew");
        expect(grant.role === "admin").toBe(held.includes("boss"));
        const places = Array.isArray(given.site) ? given.site : [given.site];
        expect(isInScope(grant.scope, { site: "munich" })).toBe(places.includes("all"));
        expect(isInScope(grant.scope, { site: "berlin" })).toBe(true);
      }),
      { numRuns: 500 },
    );
  });

  it("does not depend on the order in the token", () => {
    const both = (roles: readonly string[]) => toGrant(config, { realm_access: { roles }, site: "all" })?.role;
    expect([both(["crew", "boss"]), both(["boss", "crew"])]).toEqual(["admin", "admin"]);
  });

  it("is not found on the prototype of what was parsed", () => {
    const open = parseOidcConfig(text.replace("[realm_access, roles]", "[constructor, name]"));
    expect(
      toGrant({ ...open, roles: { ...open.roles, values: [{ value: "Object", role: "admin" }] } }, { site: "all" }),
    ).toBeNull();
  });
});

describe("the file", () => {
  it("takes the client for the audience when it names none", () => {
    expect(config.audience).toBe("fairlead");
    expect(parseOidcConfig(`${text}\naudience: fleet`).audience).toBe("fleet");
  });

  it.each([
    ["a plain issuer elsewhere", "https://id.example", "http://id.example"],
    ["an issuer with a fragment", "https://id.example", '"https://id.example#x"'],
    ["an unknown role", "role: admin", "role: root"],
    ["an empty selector", "selector: site=berlin", 'selector: ""'],
    ["a selector that was forgotten", "selector: site=berlin", "selector:"],
    ["an unknown field", "clientId: fairlead", "clientId: fairlead\nclientSecret: x"],
  ])("is refused with %s", (_what, from, to) => {
    expect(text).toContain(from);
    expect(() => parseOidcConfig(text.replace(from, to))).toThrow(expect.objectContaining({ code: "config_invalid" }));
  });
});
