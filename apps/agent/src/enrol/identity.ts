import { CodedError, hasErrorCode, toErrorMessage } from "@fairlead/kernel";
import { deviceIdSchema, labelsSchema, profileNameSchema, tenantSchema, timestampMsSchema } from "@fairlead/protocol";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
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
});

/** Who this device is, and whom it believes. */
export interface Identity extends z.infer<typeof identitySchema> {
  readonly keyPem: string;
  readonly certificatePem: string;
  readonly caPem: string;
  /** The root document of The Update Framework that this device began with. */
  readonly trustRoot: string;
}

export const identityFiles = {
  key: "device.key",
  certificate: "device.crt",
  ca: "ca.pem",
  trustRoot: "root.json",
  identity: "identity.json",
} as const;

/** @throws CodedError `not_enrolled` · `identity_invalid` */
export function loadIdentity(folder: string): Identity {
  const read = (name: string) => readFileSync(join(folder, name), "utf8");
  try {
    const parsed = identitySchema.parse(JSON.parse(read(identityFiles.identity)));
    return {
      ...parsed,
      keyPem: read(identityFiles.key),
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
  const { keyPem, certificatePem, caPem, trustRoot, ...document } = identity;
  const text = `${JSON.stringify(identitySchema.parse(document), null, 2)}\n`;
  writeFileDurably(join(folder, identityFiles.key), keyPem);
  writeFileDurably(join(folder, identityFiles.certificate), certificatePem);
  writeFileDurably(join(folder, identityFiles.ca), caPem);
  writeFileDurably(join(folder, identityFiles.trustRoot), trustRoot);
  writeFileDurably(join(folder, identityFiles.identity), text);
}
