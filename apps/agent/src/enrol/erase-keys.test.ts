import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { eraseDeviceKeys } from "./erase-keys.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "fairlead-erase-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe("the end of a device's keys", () => {
  it("takes the key in a file, what a TPM needs to use its key, and what saves that were cut short left of both", () => {
    const keys = ["device.key", "device.key.a1.tmp", "device.tpm", "device.tpm.b2.tmp"];
    for (const name of [...keys, "device.crt", "ca.pem", "root.json", "identity.json"])
      writeFileSync(join(folder, name), "secret");
    eraseDeviceKeys(folder);
    expect(readdirSync(folder).toSorted()).toEqual(["ca.pem", "device.crt", "identity.json", "root.json"]);
    eraseDeviceKeys(folder);
    expect(readdirSync(folder)).toHaveLength(4);
  });

  it("does nothing where there is no identity", () => {
    expect(() => eraseDeviceKeys(join(folder, "absent"))).not.toThrow();
  });
});
