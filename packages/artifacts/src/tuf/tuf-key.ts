import { CodedError } from "@fairlead/kernel";
import { canonicalize } from "@tufjs/canonical-json";
import { Key } from "@tufjs/models";
import { createHash, createPublicKey, type KeyObject } from "node:crypto";

/** §4.2 of the specification: keys that sign documents. Ed25519 is what we make; P-256 is what most tokens hold. */
type Described = Pick<Key, "keyType" | "scheme" | "keyVal">;

function describe(key: KeyObject): Described {
  if (key.asymmetricKeyType === "ed25519") {
    // RFC 8410 §4: an Ed25519 key is the last 32 bytes of its SubjectPublicKeyInfo.
    const bytes = key.export({ type: "spki", format: "der" }).subarray(-32);
    return { keyType: "ed25519", scheme: "ed25519", keyVal: { public: bytes.toString("hex") } };
  }
  if (key.asymmetricKeyType === "ec" && key.asymmetricKeyDetails?.namedCurve === "prime256v1") {
    const text = key.export({ type: "spki", format: "pem" }).toString();
    return { keyType: "ecdsa", scheme: "ecdsa-sha2-nistp256", keyVal: { public: text } };
  }
  const { asymmetricKeyType: type, asymmetricKeyDetails: { namedCurve = "" } = {} } = key;
  throw new CodedError("key_invalid", `the key is ${`${type} ${namedCurve}`.trim()}, not Ed25519 or ECDSA P-256`, {
    hint: "make one with: openssl genpkey -algorithm ed25519",
  });
}

function readPublicKey(publicKeyPem: string): KeyObject {
  // A private key would be read as well, and must never come here.
  if (!publicKeyPem.includes("BEGIN PUBLIC KEY"))
    throw new CodedError("key_invalid", "the text is not a PEM public key", { hint: "give the public half only" });
  try {
    return createPublicKey(publicKeyPem);
  } catch {
    // The cause is left out on purpose: OpenSSL's message may quote the input.
    throw new CodedError("key_invalid", "the text is not a PEM key", { hint: "give a SubjectPublicKeyInfo in PEM" });
  }
}

/** @throws CodedError `key_invalid` */
export function toTufKey(publicKeyPem: string): Key {
  const { keyType, scheme, keyVal } = describe(readPublicKey(publicKeyPem));
  const text = canonicalize({ keytype: keyType, scheme, keyval: keyVal });
  const keyID = createHash("sha256").update(text).digest("hex");
  return new Key({ keyID, keyType, scheme, keyVal });
}
