import { CodedError, type Logger } from "@fairlead/kernel";
import { caResponseSchema, enrolResponseSchema, type EnrolResponse } from "@fairlead/protocol";
import { X509Certificate } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import type { TpmConfig } from "../tpm/tpm-config.ts";
import { askWithKey, type EnrolRight } from "./ask-with-key.ts";
import { saveIdentity, type Identity } from "./identity.ts";
import { callPlane } from "./plane-http.ts";
import { requireCa } from "./token.ts";

export interface EnrolOptions {
  readonly server: string;
  /** By what this device may ask. */
  readonly right: EnrolRight;
  readonly device: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly profile: string;
  readonly inventory: Identity["inventory"];
  /** A root document that came by another way than this network; null takes the plane's. */
  readonly trustRoot: string | null;
  /** The identity folder. */
  readonly folder: string;
  /** Where the key is made; null: in a file. */
  readonly tpm: TpmConfig | null;
  /** A private folder for what is exchanged with the TPM. */
  readonly workFolder: string;
  readonly nowMs: () => number;
  readonly logger: Logger;
  /** How long an operator may take to approve. */
  readonly timeoutMs: number;
}

type Approved = Extract<EnrolResponse, { state: "approved" }>;

/** The only unverified question of the agent's life; its answer counts only if the fingerprint vouches for it. */
async function fetchCa(server: string, fingerprint: string): Promise<string> {
  const { ca } = await callPlane({ url: new URL("/api/v1/ca", server).href, ca: null, schema: caResponseSchema });
  requireCa(ca, fingerprint);
  return ca;
}

interface Waiting {
  readonly first: EnrolResponse;
  readonly ca: string;
  /** What the plane knows this request by. */
  readonly secret: string;
}

async function waitForApproval({ first, ca, secret }: Waiting, options: EnrolOptions): Promise<Approved> {
  const { server, timeoutMs, logger } = options;
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
    answer = await callPlane({ url, ca, body: { token: secret }, schema: enrolResponseSchema });
  }
  if (answer.state === "approved") return answer;
  throw new CodedError("enrolment_denied", `the plane denied this device: ${answer.reason}`, {
    hint: "ask the operator of the control plane",
  });
}

function requireUsable(answer: Approved, options: EnrolOptions, asked: string): void {
  const certificate = new X509Certificate(answer.certificate);
  const ca = new X509Certificate(answer.ca);
  const isOfKey = certificate.publicKey.export({ type: "spki", format: "der" }).toString("base64") === asked;
  if (isOfKey && certificate.verify(ca.publicKey) && answer.device === options.device) return;
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

/** Right → pinned authority → key and request (→ credential of the TPM) → certificate → identity on disk. */
export async function enrol(options: EnrolOptions): Promise<Identity> {
  const { server, right, profile, folder } = options;
  if (!URL.canParse(server) || new URL(server).protocol !== "https:")
    throw new CodedError("server_invalid", `${server} is not an https address`, {
      hint: "give --server https://host:port",
    });
  const ca = await fetchCa(server, right.caFingerprint);
  const { key, publicKey, first, secret } = await askWithKey(options, ca);
  const answer = await waitForApproval({ first, ca, secret }, options);
  requireCa(answer.ca, right.caFingerprint);
  requireUsable(answer, options, publicKey);
  const trustRoot = requireTrustRoot(answer, options);
  const identity: Identity = {
    v: 1,
    tenant: answer.tenant,
    device: answer.device,
    apiUrl: answer.apiUrl,
    mqttUrl: answer.mqttUrl,
    signingKeys: answer.signingKeys,
    profile,
    labels: { ...options.labels },
    enrolledAtMs: options.nowMs(),
    inventory: options.inventory,
    assurance: answer.assurance,
    key,
    certificatePem: answer.certificate,
    caPem: answer.ca,
    trustRoot,
  };
  saveIdentity(folder, identity);
  return identity;
}
