import { describe, expect, it } from "vitest";
import { requireNoSecret, toSignerEnvironment } from "./external-signer.ts";

describe("a secret among the arguments of a signing command", () => {
  it.each([
    ["--pin", "1234"],
    ["--pin=1234"],
    ["--so-pin", "1234"],
    ["-p", "1234"],
    ["-p1234"],
    ["--password", "x"],
    ["--Passphrase=x"],
    ["-passin", "pass:x"],
    ["pkcs11:token=t;pin-value=1234"],
    ["--secret", "x"],
    ["--pin"],
  ])("is refused and not repeated: %s %s", (...args) => {
    expect(() => requireNoSecret(["/usr/bin/pkcs11-tool", "--sign", ...args])).toThrow(
      /argument 2 of pkcs11-tool is a/u,
    );
    expect(() => requireNoSecret(["/usr/bin/pkcs11-tool", "--sign", ...args])).not.toThrow(/1234/u);
  });

  it.each([
    ["pkcs11-tool", "--login", "--pin", "env:FAIRLEAD_SIGNER_PIN"],
    ["pkcs11-tool", "--pin=env:FAIRLEAD_SIGNER_PIN"],
    ["openssl", "pkeyutl", "-passin", "env:FAIRLEAD_SIGNER_PASS"],
    ["sign", "--port", "80", "-p", "80", "--token-label", "pin"],
    ["sign", "pkcs11:token=t;pin-source=file:/run/pin"],
    ["pin"],
  ])("is none where it is fetched, or where it is something else: %s %s", (...command) => {
    expect(() => requireNoSecret(command)).not.toThrow();
  });
});

it("a signing command is given what programs need, FAIRLEAD_SIGNER_* and what is named, never another FAIRLEAD_*", () => {
  const env = {
    ...{ PATH: "/bin", LC_ALL: "C", FAIRLEAD_SIGNER_PIN: "1", FAIRLEAD_TOKEN: "2", FAIRLEAD_SIGNER: "3" },
    ...{ OTHER: "4", NAMED: "5", GONE: undefined, FAIRLEAD_KEY_PASSPHRASE: "6" },
  };
  expect(toSignerEnvironment(env, ["NAMED", "GONE", "FAIRLEAD_KEY_PASSPHRASE"])).toEqual({
    ...{ PATH: "/bin", LC_ALL: "C", FAIRLEAD_SIGNER_PIN: "1", NAMED: "5" },
  });
});
