import type { Command } from "../command.ts";
import { listAlerts } from "./alerts/list.ts";
import { resolveAlert } from "./alerts/resolve.ts";
import { applyFile } from "./apply/apply.ts";
import { listAudit } from "./audit/list.ts";
import { verifyAuditLog } from "./audit/verify.ts";
import { addContext, currentContext, listContexts, removeContext, useContext } from "./contexts/contexts.ts";
import { approveDevice, denyDevice } from "./devices/approve.ts";
import { decommissionDevice } from "./devices/decommission.ts";
import { describeDeviceCommand, getDevice } from "./devices/get.ts";
import { labelDevice } from "./devices/label.ts";
import { listDevices } from "./devices/list.ts";
import { releaseDevice } from "./devices/release.ts";
import { watchDevices } from "./devices/watch.ts";
import { brokerConfig } from "./broker/config.ts";
import { createToken } from "./enrolments/create-token.ts";
import { allowEndorsement, listEndorsements, removeEndorsement } from "./enrolments/endorsements.ts";
import { listEnrolments } from "./enrolments/list.ts";
import { listEnrolmentTokens, revokeEnrolmentToken } from "./enrolments/tokens.ts";
import { login, logout } from "./login/login.ts";
import { inspectModel } from "./models/inspect.ts";
import { describeModel, listModels } from "./models/list.ts";
import { pushModel } from "./models/push.ts";
import { addKey, generateKey, listKeyFiles, rotateKeys } from "./keys/keys.ts";
import { acceptKnownBad, pruneOldReleases } from "./releases/tend.ts";
import { listReleases, publishReleases, signRelease, verifyReleases } from "./releases/sign.ts";
import { describeRemediation, listRemediations } from "./remediations/remediations.ts";
import { rolloutActions } from "./rollouts/act.ts";
import { createRollout } from "./rollouts/create.ts";
import { listRollouts, rolloutHistory } from "./rollouts/list.ts";
import { rolloutStatus } from "./rollouts/status.ts";
import { createApiToken, listApiTokens, revokeApiToken } from "./tokens/tokens.ts";
import { createWebhook, deleteWebhook, describeWebhook, listWebhooks, testWebhook } from "./webhooks/webhooks.ts";
import { showOnlineKey } from "./trust/online-key.ts";
import { createTrust, delegateTrust, pullTrust, revokeTrust, viewTrust } from "./trust/trust.ts";

/** Every command; program and completion are built from this table. */
export const commands: readonly Command[] = [
  ...[listDevices, getDevice, describeDeviceCommand, approveDevice, denyDevice, watchDevices, labelDevice],
  ...[decommissionDevice, releaseDevice],
  ...[createToken, listEnrolmentTokens, revokeEnrolmentToken, listEnrolments],
  ...[allowEndorsement, listEndorsements, removeEndorsement],
  ...[pushModel, listModels, describeModel, inspectModel],
  ...[generateKey, addKey, listKeyFiles, rotateKeys],
  ...[createApiToken, listApiTokens, revokeApiToken],
  ...[createWebhook, listWebhooks, describeWebhook, deleteWebhook, testWebhook],
  ...[createTrust, delegateTrust, revokeTrust, pullTrust, viewTrust, showOnlineKey],
  ...[signRelease, publishReleases, verifyReleases, listReleases, pruneOldReleases, acceptKnownBad],
  ...[createRollout, rolloutStatus, listRollouts, rolloutHistory, ...rolloutActions],
  ...[listRemediations, describeRemediation],
  ...[brokerConfig],
  ...[listAlerts, resolveAlert, listAudit, verifyAuditLog, applyFile],
  ...[login, logout],
  ...[addContext, listContexts, useContext, currentContext, removeContext],
];
