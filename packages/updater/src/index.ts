export { createHttpFetch, type HttpFetchOptions } from "./http-fetch.ts";
export { toUpdaterErrorCode, type UpdaterErrorCode } from "./errors.ts";
export {
  initializeTrust,
  openUpdater,
  type FetchResource,
  type TrustedTarget,
  type Updater,
  type UpdaterOptions,
} from "./updater.ts";
