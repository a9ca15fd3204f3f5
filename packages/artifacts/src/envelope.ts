import { verify as verifyBytes } from "node:crypto";
import type * as z from "zod";
import { toCanonicalJson } from "./canonical.ts";
import { documentTypes, type DocumentType } from "./document-schemas.ts";
import { refuse } from "./refusal.ts";
import type { TrustRoots } from "./trust-roots.ts";

interface EnvelopeShape {
  readonly signed: { readonly type: string };
  readonly signatures: readonly { readonly keyId: string; readonly sig: string }[];
}

export interface EnvelopeOptions<Schema extends z.ZodType<EnvelopeShape>> {
  readonly type: DocumentType;
  readonly schema: Schema;
  readonly roots: TrustRoots;
}

/**
 * Parse → type → signatures. Signatures are checked over what was received, not over what the schema made of it.
 * Signatures by unknown keys are ignored, so that keys can be rotated; each one by a known key must be right, and there
 * must be one.
 */
export function openEnvelope<Schema extends z.ZodType<EnvelopeShape>>(
  envelope: unknown,
  options: EnvelopeOptions<Schema>,
): z.infer<Schema>["signed"] {
  requireType(envelope, options.type);
  const parsed = options.schema.safeParse(envelope);
  if (!parsed.success) {
    const fields = parsed.error.issues.slice(0, 5).map((issue) => `${issue.path.join(".")}: ${issue.message}`);
    return refuse("envelope_malformed", fields.join("; "));
  }
  requireSignatures(toSignedText(envelope), parsed.data.signatures, options);
  return parsed.data.signed;
}

function requireType(envelope: unknown, type: DocumentType): void {
  if (typeof envelope !== "object" || envelope === null || !("signed" in envelope)) return;
  const { signed } = envelope;
  if (typeof signed !== "object" || signed === null || !("type" in signed)) return;
  if (signed.type !== type && documentTypes.some((known) => known === signed.type)) {
    refuse("wrong_type", `a ${String(signed.type)} cannot pass as a ${type}`);
  }
}

function toSignedText(envelope: unknown): string {
  try {
    return toCanonicalJson((envelope as EnvelopeShape).signed);
  } catch {
    return refuse("envelope_malformed", "the signed part has no canonical form");
  }
}

function requireSignatures(
  text: string,
  signatures: EnvelopeShape["signatures"],
  options: { readonly type: DocumentType; readonly roots: TrustRoots },
): void {
  if (new Set(signatures.map((signature) => signature.keyId)).size !== signatures.length) {
    refuse("envelope_malformed", "a key signs twice");
  }
  const bytes = Buffer.from(text, "utf8");
  let known = 0;
  for (const { keyId, sig } of signatures) {
    const key = options.roots.find(options.type, keyId);
    if (key === undefined) continue;
    known += 1;
    const signature = Buffer.from(sig, "base64");
    // Base64 of 64 bytes has four spare bits; only the one canonical spelling is admitted.
    const valid = signature.toString("base64") === sig && verifyBytes(null, bytes, key.publicKey, signature);
    if (!valid) refuse("signature_invalid", `the signature of key ${keyId} does not fit the document`);
  }
  if (known === 0) refuse("signature_unknown_key", `no signature by a key trusted for a ${options.type}`);
}
