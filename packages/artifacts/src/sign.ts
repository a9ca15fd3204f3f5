import { sign as signBytes } from "node:crypto";
import { CodedError } from "@fairlead/kernel";
import type { Signature } from "@fairlead/protocol";
import { toCanonicalJson } from "./canonical.ts";
import { documentSchemas, type SignableDocument } from "./document-schemas.ts";
import type { SigningKey } from "./keys.ts";

/** A signed document as it travels and is stored. */
export interface Signed<Document extends SignableDocument> {
  readonly signed: Document;
  readonly signatures: Signature[];
}

/**
 * Signs the canonical form of a document. The document is parsed first, so that what is signed is complete (defaults
 * filled in) and a reader that fills defaults sees the same bytes as one that does not.
 * @throws CodedError `document_invalid` · `not_canonical`
 */
export function signDocument<Document extends SignableDocument>(document: Document, key: SigningKey): Signed<Document> {
  const parsed = documentSchemas[document.type].safeParse(document);
  if (!parsed.success) {
    throw new CodedError("document_invalid", `the ${document.type} does not meet its schema: ${parsed.error.message}`, {
      cause: parsed.error,
      hint: "sign only documents that the protocol admits",
    });
  }
  // The schema of a type yields that type; TypeScript cannot follow the lookup.
  const signed = parsed.data as Document;
  const bytes = Buffer.from(toCanonicalJson(signed), "utf8");
  return { signed, signatures: [{ keyId: key.keyId, sig: signBytes(null, bytes, key.privateKey).toString("base64") }] };
}
