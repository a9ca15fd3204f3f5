/** What of ASN.1 certificate requests and lists are made of; libraries write them too slowly, or cannot let others sign. */
export const derTag = {
  ...{ integer: 0x02, bits: 0x03, octets: 0x04, id: 0x06, text: 0x0c, utcTime: 0x17, generalizedTime: 0x18 },
  ...{ sequence: 0x30, set: 0x31, context0: 0xa0 },
} as const;

/** AlgorithmIdentifier of ECDSA with SHA-256 (RFC 5758, section 3.2). */
export const ecdsaWithSha256: Uint8Array = toDer(
  derTag.sequence,
  toDer(derTag.id, Buffer.from("2a8648ce3d040302", "hex")),
);

/** One element of DER (X.690 clause 8.1). */
export function toDer(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const size = parts.reduce((sum, part) => sum + part.length, 0);
  return Buffer.concat([Buffer.from([tag, ...toLength(size)]), ...parts]);
}

/** Shortest form, as DER demands (clause 10.1). */
function toLength(size: number): readonly number[] {
  if (size < 128) return [size];
  const bytes: number[] = [];
  for (let rest = size; rest > 0; rest = Math.floor(rest / 256)) bytes.unshift(rest % 256);
  return [0x80 + bytes.length, ...bytes];
}

/** A whole number that is not negative, in its shortest form (clause 8.3). */
export function toDerInteger(hex: string): Buffer {
  const digits = hex.replace(/^0+(?=.)/u, "");
  const even = digits.length % 2 === 0 ? digits : `0${digits}`;
  return toDer(derTag.integer, Buffer.from(/^[89a-f]/iu.test(even) ? `00${even}` : even, "hex"));
}

/** Textual encoding (RFC 7468) under a label, for instance `CERTIFICATE REQUEST`. */
export function toPem(label: string, der: Uint8Array): string {
  const lines =
    Buffer.from(der)
      .toString("base64")
      .match(/.{1,64}/gu) ?? [];
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ""].join("\n");
}
