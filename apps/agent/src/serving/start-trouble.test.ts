import { describe, expect, it } from "vitest";
import { StartTrouble, toTroubleText } from "./start-trouble.ts";

const taken = { code: "port_taken", message: "port 8700 of 127.0.0.1 is in use", hint: "Set another." };

describe("the trouble of a serving process that does not come up", () => {
  it("is told once per reason, and again after a start that went well", () => {
    const trouble = new StartTrouble();
    expect(trouble.add(taken, "exit 1")).toEqual(taken);
    expect(trouble.add({ ...taken }, "exit 1")).toBeNull();
    expect(trouble.current).toEqual(taken);
    expect(trouble.add({ ...taken, message: "port 8701" }, "exit 1")).toMatchObject({ message: "port 8701" });
    trouble.clear();
    expect(trouble.current).toBeNull();
    expect(trouble.add(taken, "exit 1")).toEqual(taken);
  });

  it("is not read into a single death without a word, but into the second in a row", () => {
    const trouble = new StartTrouble();
    expect(trouble.add(null, "SIGKILL")).toBeNull();
    expect(trouble.current).toBeNull();
    expect(trouble.add(null, "SIGKILL")).toMatchObject({
      code: "start_failed",
      message: expect.stringMatching("SIGKILL"),
    });
    trouble.clear();
    expect(trouble.add(null, "SIGKILL")).toBeNull();
  });

  it("reads as what, where and what to do", () => {
    expect(toTroubleText(taken)).toBe("port_taken: port 8700 of 127.0.0.1 is in use. Set another.");
  });
});
