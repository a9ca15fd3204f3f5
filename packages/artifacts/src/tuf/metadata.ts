import { CodedError, toErrorMessage } from "@fairlead/kernel";
import { canonicalize } from "@tufjs/canonical-json";
import {
  type Key,
  Metadata,
  type MetadataKind,
  Signature,
  type Root,
  type Snapshot,
  type Targets,
  type Timestamp,
} from "@tufjs/models";

/** Who signs: a key file, a token or a command; the private half never leaves it. */
export interface TufSigner {
  readonly key: Key;
  sign(bytes: Uint8Array): Promise<Uint8Array>;
}

export interface MetadataByKind {
  root: Metadata<Root>;
  timestamp: Metadata<Timestamp>;
  snapshot: Metadata<Snapshot>;
  targets: Metadata<Targets>;
}

/** Every document that we write follows this version of the specification. */
export const specVersion = "1.0.31";

/** The specification wants whole seconds; its formats are in §4.2.1. */
export function toExpires(expiresAtMs: number): string {
  // oxlint-disable-next-line no-restricted-globals -- writes an argument as text; no clock is read
  return `${new Date(expiresAtMs).toISOString().slice(0, 19)}Z`;
}

/** Signs with every given key; what was signed before is replaced. */
export async function signMetadata<Kind extends Root | Timestamp | Snapshot | Targets>(
  signed: Kind,
  signers: readonly TufSigner[],
): Promise<Metadata<Kind>> {
  const metadata = new Metadata(signed);
  const bytes = Buffer.from(canonicalize(signed.toJSON()), "utf8");
  for (const signer of signers) {
    const { key } = signer;
    const signature = Buffer.from(await signer.sign(bytes)).toString("hex");
    metadata.signatures[key.keyID] = new Signature({ keyID: key.keyID, sig: signature });
  }
  return metadata;
}

export function toMetadataText(metadata: MetadataByKind[keyof MetadataByKind]): string {
  return `${JSON.stringify(metadata.toJSON(), null, 1)}\n`;
}

/** @throws CodedError `metadata_malformed` */
export function parseMetadata<Kind extends keyof MetadataByKind>(kind: Kind, text: string): MetadataByKind[Kind] {
  try {
    const value = JSON.parse(text) as Parameters<typeof Metadata.fromJSON>[1];
    // The library's overloads are one function; which one holds follows from the kind.
    return Metadata.fromJSON(
      kind as MetadataKind.Root,
      value,
    ) as MetadataByKind[keyof MetadataByKind] as MetadataByKind[Kind];
  } catch (error) {
    throw new CodedError("metadata_malformed", `this is no ${kind} metadata: ${toErrorMessage(error).slice(0, 200)}`, {
      cause: error,
      hint: "sign it anew with fairlead releases sign or fairlead keys rotate",
    });
  }
}

/** Consistent snapshots (§6.2): every version of every role has a name of its own. */
export function toFileName(role: string, version: number): string {
  return `${version}.${role}.json`;
}
