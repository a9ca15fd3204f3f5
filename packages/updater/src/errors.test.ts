import { CodedError } from "@fairlead/kernel";
import { describe, expect, it } from "vitest";
import { toUpdaterErrorCode } from "./errors.ts";

describe("why nothing new may be taken", () => {
  it("is no fault of the metadata when the device has no room or no file left for it: the question is asked again", () => {
    for (const code of ["ENOSPC", "EDQUOT", "EIO", "EMFILE", "EROFS"])
      expect(toUpdaterErrorCode(Object.assign(new Error(`${code}: copyfile`), { code }))).toBe("metadata_unreachable");
  });

  it("is a refusal for whatever nobody knows", () => {
    expect(toUpdaterErrorCode(new Error("odd"))).toBe("metadata_refused");
    expect(toUpdaterErrorCode(Object.assign(new Error("odd"), { code: "ENOENT" }))).toBe("metadata_refused");
    expect(toUpdaterErrorCode(new CodedError("metadata_expired", "old"))).toBe("metadata_expired");
  });
});
