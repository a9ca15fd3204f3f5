export { openStore, type Store, type StoreOptions, type Transaction } from "./store.ts";
export type { StoreErrorCode } from "./errors.ts";
export type { Repositories } from "./repositories.ts";
export type { EnrolmentToken } from "./schema/enrolment-tokens.ts";
