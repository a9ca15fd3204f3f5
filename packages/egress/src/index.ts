export {
  isInNetworks,
  judgeAddress,
  parseNetwork,
  type AddressPolicy,
  type AddressVerdict,
  type Network,
} from "./address-policy.ts";
export type { EgressTls } from "./connect.ts";
export {
  createEgress,
  type Egress,
  type EgressAnswer,
  type EgressOptions,
  type EgressPolicy,
  type EgressRequest,
} from "./egress.ts";
export { EgressError, type EgressErrorCode } from "./errors.ts";
export { defaultLimits, type EgressLimits } from "./limits.ts";
export { resolveBySystem, type Resolve } from "./resolve.ts";
export { parseTarget, type Target, type TargetPolicy } from "./target.ts";
