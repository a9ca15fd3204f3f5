export { createSnapshot, createTimestamp, type MetadataFile } from "./online-roles.ts";
export {
  addDelegation,
  addRelease,
  createTargets,
  listDelegations,
  mayRelease,
  removeDelegation,
  removeReleases,
  renewTargets,
  type Delegation,
} from "./targets.ts";
export { createRoot, toRootSpec, type RoleKeys, type RootSpec } from "./root.ts";
export {
  parseMetadata,
  signMetadata,
  toFileName,
  toMetadataText,
  type MetadataByKind,
  type TufSigner,
} from "./metadata.ts";
export { toReleaseBytes, toReleaseTarget, toReleaseTargetPath, type ReleaseTarget } from "./release-target.ts";
export { toTufKey } from "./tuf-key.ts";
