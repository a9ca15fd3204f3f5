import { CodedError } from "@fairlead/kernel";
import type { DocumentType } from "./document-schemas.ts";
import { parseVerificationKey, type VerificationKey } from "./keys.ts";

/** One trusted public key and the only document types that it may sign. */
export interface TrustedKey {
  readonly publicKeyPem: string;
  readonly types: readonly DocumentType[];
}

/** Which key may sign which type. A release key cannot sign a command, nor the other way round. */
export interface TrustRoots {
  find(type: DocumentType, keyId: string): VerificationKey | undefined;
  readonly keyIds: readonly string[];
}

/** @throws CodedError `key_invalid` · `trust_roots_invalid` when a key is named twice or no key is given */
export function createTrustRoots(trusted: readonly TrustedKey[]): TrustRoots {
  const keys = new Map<string, { readonly key: VerificationKey; readonly types: ReadonlySet<DocumentType> }>();
  for (const { publicKeyPem, types } of trusted) {
    const key = parseVerificationKey(publicKeyPem);
    if (keys.has(key.keyId)) {
      throw new CodedError("trust_roots_invalid", `key ${key.keyId} is named twice`, {
        hint: "list every key once, with all the types that it may sign",
      });
    }
    keys.set(key.keyId, { key, types: new Set(types) });
  }
  if (keys.size === 0) {
    throw new CodedError("trust_roots_invalid", "no key is trusted", { hint: "give at least one public key" });
  }
  return {
    find(type, keyId) {
      const entry = keys.get(keyId);
      return entry !== undefined && entry.types.has(type) ? entry.key : undefined;
    },
    keyIds: [...keys.keys()],
  };
}
