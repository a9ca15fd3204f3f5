import { createHash, createHmac } from "node:crypto";

const toUint32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
};
/** Labels are hashed with the zero byte that ends them (TPM 2.0 Part 1 clause 11.4.10). */
const toLabel = (label: string): Buffer => Buffer.from(`${label}\0`, "latin1");

export interface KdfaInput {
  readonly key: Uint8Array;
  readonly label: string;
  readonly contextU?: Uint8Array;
  readonly contextV?: Uint8Array;
  /** At most 256, a multiple of 8. */
  readonly bits: number;
}

/** KDFa with HMAC-SHA-256: SP 800-108 in counter mode (TPM 2.0 Part 1 clause 11.4.10.2). One block is all that is needed. */
export function kdfa({ key, label, contextU, contextV, bits }: KdfaInput): Buffer {
  const block = createHmac("sha256", key)
    .update(toUint32(1))
    .update(toLabel(label))
    .update(contextU ?? Buffer.alloc(0))
    .update(contextV ?? Buffer.alloc(0))
    .update(toUint32(bits))
    .digest();
  return block.subarray(0, bits / 8);
}

export interface KdfeInput {
  /** The x coordinate of the shared point. */
  readonly z: Uint8Array;
  readonly label: string;
  /** The x coordinates of the ephemeral and of the static public key. */
  readonly partyU: Uint8Array;
  readonly partyV: Uint8Array;
}

/** KDFe with SHA-256 for 256 bits: the single block of SP 800-56A (TPM 2.0 Part 1 clause 11.4.10.3). */
export function kdfe({ z, label, partyU, partyV }: KdfeInput): Buffer {
  return createHash("sha256")
    .update(toUint32(1))
    .update(z)
    .update(toLabel(label))
    .update(partyU)
    .update(partyV)
    .digest();
}
