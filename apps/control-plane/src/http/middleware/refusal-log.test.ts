import { CodedError } from "@fairlead/kernel";
import { httpStatusByCode, type HttpErrorCode } from "@fairlead/protocol";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Refusal } from "../../audit/refusal-audit.ts";
import { createConnectionRefusalLog, createRefusalLog, type Refused } from "./refusal-log.ts";

const device = "/api/v1/devices/:device";
const asked: Refused = {
  ...{ actor: "viewer:adm-1", from: "192.0.2.1", method: "GET", path: "/api/v1/devices/cam-1", route: device },
};
const noteOf = async (code: HttpErrorCode, more: Partial<Refused> = {}): Promise<readonly Refusal[]> => {
  const noted: Refusal[] = [];
  const log = createRefusalLog({ note: async (refusal) => void noted.push(refusal) });
  await log(new CodedError<HttpErrorCode>(code, "no"), { ...asked, ...more });
  return noted;
};

describe("the log of refusals", () => {
  it("has one note of everything that was refused, and none of what the plane failed to do", async () => {
    const code = fc.constantFrom(...(Object.keys(httpStatusByCode) as HttpErrorCode[]));
    const method = fc.constantFrom("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE");
    await fc.assert(
      fc.asyncProperty(code, method, fc.constantFrom(device, null), async (why, how, route) => {
        const noted = await noteOf(why, { method: how, route });
        expect(noted.map(({ reason }) => reason)).toEqual(httpStatusByCode[why] >= 500 ? [] : [why]);
      }),
    );
  });

  it.each<{ what: string; code: HttpErrorCode; of?: Partial<Refused>; kind: string | undefined }>([
    { what: "a question about what is not there", code: "not_found", kind: `GET ${device}: not_found` },
    { what: "a question that is malformed", code: "validation_failed", kind: `GET ${device}: validation_failed` },
    { what: "a path of no route", code: "not_found", of: { method: "POST", route: null }, kind: "no route: not_found" },
    { what: "a question of somebody who may not ask", code: "forbidden", kind: undefined },
    { what: "a question of nobody who is known", code: "unauthenticated", kind: undefined },
    { what: "a change", code: "not_found", of: { method: "DELETE" }, kind: undefined },
    { what: "a path with two readings", code: "bad_request", of: { route: null }, kind: undefined },
  ])("stands for many only where it says little alone: $what", async ({ code, of = {}, kind }) => {
    expect(await noteOf(code, of)).toMatchObject([{ kind, reason: code, from: "192.0.2.1" }]);
  });

  it("leaves out that there is no further root, which each device asks until it is so, and nothing else of that route", async () => {
    const next = { route: "/api/v1/trust/metadata/:file", path: "/api/v1/trust/metadata/2.root.json" };
    expect(await noteOf("not_found", next)).toEqual([]);
    expect(await noteOf("validation_failed", next)).toHaveLength(1);
  });

  it("tells of a connection that was ended: from where and why", () => {
    const noted: Refusal[] = [];
    createConnectionRefusalLog({ note: async (refusal) => void noted.push(refusal) })({
      from: "192.0.2.1",
      why: "many",
    });
    expect(noted).toMatchObject([
      { actor: "anonymous", from: "192.0.2.1", action: "connection.refuse", reason: "many", kind: "connection: many" },
    ]);
  });
});
