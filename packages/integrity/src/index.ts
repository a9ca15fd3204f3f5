export { toCanonicalDigest, toCanonicalText, zeroDigest, type IntegrityErrorCode } from "./canonical-digest.ts";
export {
  foldMeasurements,
  toChainLink,
  toMeasurementKey,
  verifyChain,
  type ChainHead,
  type ChainLinkInput,
  type ChainVerdict,
} from "./chain.ts";
export { appraise, type Appraisal, type AppraisalCode, type AppraisalContext, type Baseline } from "./appraise.ts";
export { closeBaseline, reopenBaseline, toFileBaseline, type FileBaseline, type FileGroup } from "./file-baseline.ts";
export {
  sealAuditEntry,
  verifyAuditChain,
  type AuditHead,
  type AuditStatement,
  type AuditVerdict,
} from "./audit-chain.ts";
export {
  namelessInstance,
  noSightings,
  watchIdentity,
  type AgentLife,
  type CloneFinding,
  type IdentitySighting,
  type IdentityWatch,
} from "./identity-watch.ts";
