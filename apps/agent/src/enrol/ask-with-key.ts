import { CodedError, toErrorCode, type Logger } from "@fairlead/kernel";
import {
  credentialChallengeSchema,
  enrolResponseSchema,
  type EndorsedEnrolRequest,
  type EnrolRequest,
  type EnrolResponse,
} from "@fairlead/protocol";
import { activateCredential, loadEndorsement } from "../tpm/endorsement.ts";
import type { TpmConfig } from "../tpm/tpm-config.ts";
import { signWithTpm, toPublicKeyOf } from "../tpm/tpm-key.ts";
import { withTpm, type TpmTools } from "../tpm/tpm-tools.ts";
import { createCertificateRequest, loadOrCreateKey, toFileSigner, type RequestSigner } from "./device-key.ts";
import type { DeviceKey } from "./identity.ts";
import { callPlane } from "./plane-http.ts";
import { openTpmKey } from "./tpm-device-key.ts";

/** By what a device may ask for an identity; the fingerprint says which plane is meant. */
export type EnrolRight =
  | { readonly kind: "token"; readonly caFingerprint: string; readonly token: string }
  | { readonly kind: "endorsement"; readonly caFingerprint: string };

export interface AskOptions {
  readonly server: string;
  readonly right: EnrolRight;
  readonly device: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly profile: string;
  readonly folder: string;
  readonly tpm: TpmConfig | null;
  readonly workFolder: string;
  readonly logger: Logger;
}

export interface AskedWithKey {
  readonly key: DeviceKey;
  /** SubjectPublicKeyInfo (DER, base64). */
  readonly publicKey: string;
  readonly first: EnrolResponse;
  /** With it the device asks how things stand. */
  readonly secret: string;
}

const toSpki = ({ publicKey }: RequestSigner): string =>
  publicKey.export({ type: "spki", format: "der" }).toString("base64");

async function askWithToken(
  { server, device, profile, labels }: AskOptions,
  ca: string,
  proof: Pick<EnrolRequest, "token" | "csr" | "publicArea">,
): Promise<EnrolResponse> {
  const body: EnrolRequest = { ...proof, device, profile, labels: { ...labels } };
  return await callPlane({ url: new URL("/api/v1/enrol", server).href, ca, body, schema: enrolResponseSchema });
}

interface Endorsing {
  readonly tools: TpmTools;
  readonly kind: TpmConfig["endorsement"];
  readonly csr: string;
  readonly publicArea: string;
}

/** The plane puts a secret where only this TPM gets at it, and only with the key that signed the request loaded. */
async function askWithEndorsement(
  { server, device, profile, labels }: AskOptions,
  ca: string,
  { tools, kind, csr, publicArea }: Endorsing,
): Promise<Pick<AskedWithKey, "first" | "secret">> {
  const endorsement = await loadEndorsement(tools, kind);
  const body: EndorsedEnrolRequest = {
    ...{ device, csr, profile, labels: { ...labels }, publicArea },
    endorsementKey: endorsement.publicArea.toString("base64"),
    endorsementCertificate: endorsement.certificate?.toString("base64") ?? null,
  };
  const url = new URL("/api/v1/enrol/endorsed", server).href;
  const challenge = await callPlane({ url, ca, body, schema: credentialChallengeSchema });
  const secret = (await activateCredential(tools, challenge)).toString("base64");
  const answerUrl = `${url}/${challenge.challengeId}`;
  return { secret, first: await callPlane({ url: answerUrl, ca, body: { secret }, schema: enrolResponseSchema }) };
}

/** Key in the TPM or in a file, request signed by it, and the plane's first answer. */
export async function askWithKey(options: AskOptions, ca: string): Promise<AskedWithKey> {
  const { right, device, folder, tpm: config, workFolder } = options;
  if (config === null) {
    if (right.kind === "endorsement")
      throw new CodedError(
        "tpm_unavailable",
        "an endorsement key needs a TPM, and none is configured or open to this user",
        {
          hint: 'set `tpm` in config.yaml, for example { tcti: "device:/dev/tpmrm0" }',
        },
      );
    const pem = loadOrCreateKey(folder);
    const signer = toFileSigner(pem);
    const csr = await createCertificateRequest(signer, device);
    const { token } = right;
    const first = await askWithToken(options, ca, { token, csr, publicArea: null });
    return { key: { kind: "file", pem }, publicKey: toSpki(signer), first, secret: token };
  }
  return await withTpm({
    config,
    folder: workFolder,
    use: async (tools) => {
      const blobs = await openTpmKey(tools, folder, (error) =>
        options.logger.warn("the key of before is not in this TPM; a new one is made", { code: toErrorCode(error) }),
      );
      const signer = { publicKey: toPublicKeyOf(blobs), sign: (message: Uint8Array) => signWithTpm(tools, message) };
      const csr = await createCertificateRequest(signer, device);
      const { publicArea } = blobs;
      const asked =
        right.kind === "token"
          ? { secret: right.token, first: await askWithToken(options, ca, { token: right.token, csr, publicArea }) }
          : await askWithEndorsement(options, ca, { tools, kind: config.endorsement, csr, publicArea });
      return { key: { kind: "tpm", blobs }, publicKey: toSpki(signer), ...asked };
    },
  });
}
