import { createHash } from "node:crypto";
import { toCanonicalJson } from "./canonical.ts";

/** `sha256:` and 64 lower-case hexadecimal digits of the bytes. */
export function toDigest(bytes: Uint8Array | string): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

/** Digest of the canonical form (RFC 8785), the identity of a document whatever its signatures. */
export function toDocumentDigest(document: unknown): string {
  return toDigest(toCanonicalJson(document));
}

/** Hashes a stream piece by piece. */
export interface Hasher {
  update(bytes: Uint8Array): void;
  /** Bytes seen so far. */
  readonly sizeBytes: number;
  /** Ends the hash; to be called once. */
  finish(): string;
}

export function createHasher(): Hasher {
  const hash = createHash("sha256");
  let sizeBytes = 0;
  return {
    update(bytes) {
      hash.update(bytes);
      sizeBytes += bytes.byteLength;
    },
    get sizeBytes() {
      return sizeBytes;
    },
    finish: () => `sha256:${hash.digest("hex")}`,
  };
}
