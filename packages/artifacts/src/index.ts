export { toCanonicalJson } from "./canonical.ts";
export {
  chooseBuild,
  type BuildChoice,
  type BuildMeasurement,
  type BuildVerdict,
  type ResolvedChoicePolicy,
} from "./select-measured.ts";
export { derTag, ecdsaWithSha256, toDer, toDerInteger, toPem } from "./der.ts";
export { createHasher, toDigest, toDocumentDigest, type Hasher } from "./digest.ts";
export { documentTypes, type DocumentType, type SignableDocument } from "./document-schemas.ts";
export {
  generateKeyPair,
  parseSigningKey,
  parseVerificationKey,
  toPublicKeyPem,
  type KeyPairPem,
  type SigningKey,
  type VerificationKey,
} from "./keys.ts";
export type { VerifyErrorCode } from "./refusal.ts";
export {
  findDuplicateTargets,
  findTargetConflict,
  listCandidates,
  selectBuild,
  toMemoryEstimateBytes,
  type BuildCapabilities,
  type DuplicateTarget,
} from "./select-build.ts";
export { signDocument, type Signed } from "./sign.ts";
export type { DeviceClass } from "./audience.ts";
export { createTrustRoots, type TrustedKey, type TrustRoots } from "./trust-roots.ts";
export {
  judgeReleaseTime,
  verifyCommand,
  verifyDesiredState,
  verifyRelease,
  type Verification,
  type VerifyCommandOptions,
  type VerifyDesiredStateOptions,
  type VerifyReleaseOptions,
  type VerifyTime,
} from "./verify.ts";
