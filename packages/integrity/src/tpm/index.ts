export { toSized, type TpmErrorCode } from "./byte-reader.ts";
export { checkDeviceKey } from "./device-key-check.ts";
export { checkEndorsementCertificate, type EndorsementClaim } from "./endorsement-certificate.ts";
export { makeCredential, type Credential, type CredentialInput } from "./make-credential.ts";
export {
  parseTpmPublic,
  toKeyFingerprint,
  toPublicKey,
  type TpmAttribute,
  type TpmKey,
  type TpmPublic,
} from "./tpm-public.ts";
