export { describeBusContract, type BusHarness } from "./bus.contract.ts";
export { createTestAuthority, type TestAuthority, type TestIdentity } from "./certificates.ts";
export { waitFor } from "./wait-for.ts";
