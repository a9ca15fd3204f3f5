import { accessSync, constants } from "node:fs";
import * as z from "zod";

/** How the TPM is reached (tpm2-tss `TPM2TOOLS_TCTI`): a device file, a resource manager's bus name, or a software TPM here. */
export const tctiSchema = z
  .string()
  .max(128)
  .regex(
    /^(?:device:\/dev\/tpm(?:rm)?\d{1,2}|tabrmd(?::bus_name=[A-Za-z0-9_.]+)?|swtpm:host=(?:127\.0\.0\.1|localhost),port=\d{1,5})$/u,
    'not "device:/dev/tpmrm0", "tabrmd" or "swtpm:host=127.0.0.1,port=2321"',
  );

/**
 * Where the device's private key is made. `auto`: in the TPM at /dev/tpmrm0 when this user may open it, else in a file.
 * `off`: in a file. A TPM that is named here has to be there: nothing falls back to a file.
 */
export const tpmSchema = z.union([
  z.enum(["auto", "off"]),
  z.strictObject({
    tcti: tctiSchema,
    /** Which of the TPM's endorsement keys is shown. */
    endorsement: z.enum(["rsa", "ecc"]).default("rsa"),
    /** Longest time of one command of the TPM. */
    timeoutMs: z.int().min(1_000).max(300_000).default(30_000),
  }),
]);

export interface TpmConfig {
  readonly tcti: string;
  readonly endorsement: "rsa" | "ecc";
  readonly timeoutMs: number;
}

const devicePath = "/dev/tpmrm0";
const defaults: TpmConfig = { tcti: `device:${devicePath}`, endorsement: "rsa", timeoutMs: 30_000 };

/** The TPM in which a new key is made; null: none, so that the key goes to a file. */
export function toTpmForNewKey(config: z.output<typeof tpmSchema>): TpmConfig | null {
  if (typeof config === "object") return config;
  if (config === "off") return null;
  try {
    accessSync(devicePath, constants.R_OK | constants.W_OK);
    return defaults;
  } catch {
    return null;
  }
}

/** The TPM that holds a key which was made in one. `off` and `auto` do not undo where the key is. */
export function toTpmOfKey(config: z.output<typeof tpmSchema>): TpmConfig {
  return typeof config === "object" ? config : defaults;
}
