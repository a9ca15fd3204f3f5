import { defaultRemediationConfig } from "@fairlead/remediation";
import { describe, expect, it } from "vitest";
import { judgeResolve } from "./judge-resolve.ts";
import { clonedAlert, disabledWebhookAlert, forkedAlert, suppressedClonesAlert } from "./kinds.ts";

const alert = { kind: forkedAlert, state: "firing", device: null, remediationId: null } as const;

describe("an alert that a person calls over", () => {
  it("is over when nothing else can end it: a fork of the plane, many clones, and a kind that this version does not know", () => {
    expect(judgeResolve(alert)).toEqual({ kind: "resolve" });
    expect(judgeResolve({ ...alert, kind: suppressedClonesAlert })).toEqual({ kind: "resolve" });
    expect(judgeResolve({ ...alert, kind: "of-another-version" })).toEqual({ kind: "resolve" });
  });

  it("goes on when its cause ends it, and the refusal says how", () => {
    for (const [kind, hint] of [
      [clonedAlert, "devices release cam-1"],
      [disabledWebhookAlert, "webhooks test"],
    ] as const)
      expect(judgeResolve({ ...alert, kind, device: "cam-1" })).toMatchObject({
        kind: "refused",
        hint: expect.stringContaining(hint),
      });
    for (const { name } of defaultRemediationConfig.rules)
      expect(judgeResolve({ ...alert, kind: name, device: "cam-1", remediationId: "rem-1" })).toMatchObject({
        kind: "refused",
        hint: "fairlead remediations describe rem-1",
      });
  });

  it("stays over when it is called over again, whatever its kind", () => {
    expect(judgeResolve({ ...alert, kind: clonedAlert, state: "resolved" })).toEqual({ kind: "resolved-already" });
  });
});
