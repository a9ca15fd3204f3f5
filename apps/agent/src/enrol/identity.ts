import { CodedError, hasErrorCode, toErrorMessage } from "@fairlead/kernel";
import {
  assuranceSchema,
  deviceIdSchema,
  labelsSchema,
  profileNameSchema,
  tenantSchema,
  timestampMsSchema,
} from "@fairlead/protocol";
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import * as z from "zod";
import { writeFileDurably } from "../state/install-file.ts";

export const inventorySchema = z.record(
  z.string().max(64),
  z.union([z.string().max(256), z.number(), z.boolean(), z.null()]),
);

const identitySchema = z.strictObject({
  v: z.literal(1),
  tenant: tenantSchema,
  device: deviceIdSchema,
  apiUrl: z.url({ protocol: /^https$/u }).max(2_048),
  mqttUrl: z.url({ protocol: /^mqtts$/u }).max(2_048),
  /** Ed25519 public keys (PEM) that may sign desired states and commands. */
  signingKeys: z.array(z.string().max(4_096)).min(1).max(16),
  profile: profileNameSchema,
  labels: labelsSchema,
  enrolledAtMs: timestampMsSchema,
  inventory: inventorySchema,
  /** Where the private key is. It is never looked for anywhere else. */
  keyIn: z.enum(["file", "tpm"]).default("file"),
  /** What the plane took the key for. */
  assurance: assuranceSchema.default("software"),
});

const base64 = z.base64().max(4_096);
export const tpmKeySchema = z.strictObject({ publicArea: base64, privateArea: base64 });

/** The private key: PEM, or what only the TPM that made it can use. */
export type DeviceKey =
  | { readonly kind: "file"; readonly pem: string }
  | { readonly kind: "tpm"; readonly blobs: z.infer<typeof tpmKeySchema> };

/** Who this device is, and whom it believes. */
export interface Identity extends Omit<z.infer<typeof identitySchema>, "keyIn"> {
  readonly key: DeviceKey;
  readonly certificatePem: string;
  readonly caPem: string;
  /** The root document of The Update Framework that this device began with. */
  readonly trustRoot: string;
}

export const identityFiles = {
  key: "device.key",
  tpmKey: "device.tpm",
  certificate: "device.crt",
  ca: "ca.pem",
  trustRoot: "root.json",
  identity: "identity.json",
} as const;

/** @throws CodedError `not_enrolled` · `identity_invalid` */
export function loadIdentity(folder: string): Identity {
  const read = (name: string) => readFileSync(join(folder, name), "utf8");
  try {
    const { keyIn, ...parsed } = identitySchema.parse(JSON.parse(read(identityFiles.identity)));
    return {
      ...parsed,
      key:
        keyIn === "file"
          ? { kind: "file", pem: read(identityFiles.key) }
          : { kind: "tpm", blobs: tpmKeySchema.parse(JSON.parse(read(identityFiles.tpmKey))) },
      certificatePem: read(identityFiles.certificate),
      caPem: read(identityFiles.ca),
      trustRoot: read(identityFiles.trustRoot),
    };
  } catch (error) {
    if (hasErrorCode(error, "ENOENT"))
      throw new CodedError("not_enrolled", `there is no identity in ${folder}`, {
        cause: error,
        hint: "run: fairlead-agent enrol --server URL --token TOKEN --device NAME --data FOLDER",
      });
    throw new CodedError("identity_invalid", `${folder}: ${toErrorMessage(error)}`, {
      cause: error,
      hint: "enrol this device again",
    });
  }
}

/** identity.json is written last, so that it stands for a complete identity. Every file has mode 0600. */
export function saveIdentity(folder: string, identity: Identity): void {
  const { key, certificatePem, caPem, trustRoot, ...document } = identity;
  const text = `${JSON.stringify(identitySchema.parse({ ...document, keyIn: key.kind }), null, 2)}\n`;
  if (key.kind === "file") writeFileDurably(join(folder, identityFiles.key), key.pem);
  else writeFileDurably(join(folder, identityFiles.tpmKey), JSON.stringify(key.blobs));
  writeFileDurably(join(folder, identityFiles.certificate), certificatePem);
  writeFileDurably(join(folder, identityFiles.ca), caPem);
  writeFileDurably(join(folder, identityFiles.trustRoot), trustRoot);
  writeFileDurably(join(folder, identityFiles.identity), text);
  // An earlier key of the other kind is of no use to anybody but a thief.
  rmSync(join(folder, key.kind === "file" ? identityFiles.tpmKey : identityFiles.key), { force: true });
}
