import { CodedError, type Logger } from "@fairlead/kernel";
import { caResponseSchema, enrolResponseSchema, type EnrolRequest, type EnrolResponse } from "@fairlead/protocol";
import { createPrivateKey, X509Certificate } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { createCertificateRequest, loadOrCreateKey } from "./device-key.ts";
import { saveIdentity, type Identity } from "./identity.ts";
import { callPlane } from "./plane-http.ts";
import { requireCa, toCaFingerprint } from "./token.ts";

export interface EnrolOptions {
  readonly server: string;
  readonly token: string;
  readonly device: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly profile: string;
  readonly inventory: Identity["inventory"];
  /** A root document that came by another way than this network; null takes the plane's. */
  readonly trustRoot: string | null;
  /** The identity folder. */
  readonly folder: string;
  readonly nowMs: () => number;
  readonly logger: Logger;
  /** How long an operator may take to approve. */
  readonly timeoutMs: number;
}

type Approved = Extract<EnrolResponse, { state: "approved" }>;

/** The only unverified question of the agent's life; its answer counts only if the token vouches for it. */
async function fetchCa(server: string, token: string): Promise<string> {
  const fingerprint = toCaFingerprint(token);
  const { ca } = await callPlane({ url: new URL("/api/v1/ca", server).href, ca: null, schema: caResponseSchema });
  requireCa(ca, fingerprint);
  return ca;
}

async function waitForApproval(first: EnrolResponse, ca: string, options: EnrolOptions): Promise<Approved> {
  const { server, token, timeoutMs, logger } = options;
  const endMs = performance.now() + timeoutMs;
  let answer = first;
  let told = false;
  while (answer.state === "pending") {
    if (performance.now() > endMs)
      throw new CodedError("enrolment_pending", "nobody approved this device yet", {
        hint: `run: fairlead devices approve ${answer.enrolmentId}; then enrol again, the request is kept`,
      });
    if (!told) logger.info("waiting for an operator's approval", { enrolmentId: answer.enrolmentId });
    told = true;
    await delay(Math.min(Math.max(answer.pollAfterMs, 200), 30_000));
    const url = new URL(`/api/v1/enrolments/${answer.enrolmentId}/poll`, server).href;
    answer = await callPlane({ url, ca, body: { token }, schema: enrolResponseSchema });
  }
  if (answer.state === "approved") return answer;
  throw new CodedError("enrolment_denied", `the plane denied this device: ${answer.reason}`, {
    hint: "ask the operator of the control plane",
  });
}

function requireUsable(answer: Approved, options: EnrolOptions, keyPem: string): void {
  const certificate = new X509Certificate(answer.certificate);
  const ca = new X509Certificate(answer.ca);
  const good = certificate.checkPrivateKey(createPrivateKey(keyPem)) && certificate.verify(ca.publicKey);
  if (good && answer.device === options.device) return;
  throw new CodedError("certificate_unusable", "the certificate is not for this device's key and name", {
    hint: "enrol again with a new token",
  });
}

/** Without a root nobody's release could ever be believed, so a device does not join without one. */
function requireTrustRoot(answer: Approved, options: EnrolOptions): string {
  const root = options.trustRoot ?? answer.trustRoot;
  if (root !== null) return root;
  throw new CodedError("trust_root_missing", "the control plane has no trust root yet", {
    hint: "on the publisher's machine: fairlead trust create --publish; then enrol again",
  });
}

/** Token → pinned authority → key and request → certificate → identity on disk. */
export async function enrol(options: EnrolOptions): Promise<Identity> {
  const { server, token, device, labels, profile, folder } = options;
  if (new URL(server).protocol !== "https:")
    throw new CodedError("server_invalid", `${server} is not an https address`, { hint: "give --server https://…" });
  const ca = await fetchCa(server, token);
  const keyPem = loadOrCreateKey(folder);
  const csr = await createCertificateRequest(keyPem, device);
  const body: EnrolRequest = { token, device, csr, profile, labels: { ...labels } };
  const url = new URL("/api/v1/enrol", server).href;
  const first = await callPlane({ url, ca, body, schema: enrolResponseSchema });
  const answer = await waitForApproval(first, ca, options);
  requireCa(answer.ca, toCaFingerprint(token));
  requireUsable(answer, options, keyPem);
  const trustRoot = requireTrustRoot(answer, options);
  const identity: Identity = {
    v: 1,
    tenant: answer.tenant,
    device: answer.device,
    apiUrl: answer.apiUrl,
    mqttUrl: answer.mqttUrl,
    signingKeys: answer.signingKeys,
    profile,
    labels: { ...labels },
    enrolledAtMs: options.nowMs(),
    inventory: options.inventory,
    keyPem,
    certificatePem: answer.certificate,
    caPem: answer.ca,
    trustRoot,
  };
  saveIdentity(folder, identity);
  return identity;
}
