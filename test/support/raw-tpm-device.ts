import { createCertificateRequest, type RequestSigner } from "@fairlead/agent/device-key";
import { activateCredential, loadEndorsement, type Endorsement } from "@fairlead/agent/endorsement";
import { createTpmKey, loadTpmKey, signWithTpm, toPublicKeyOf, type TpmKeyBlobs } from "@fairlead/agent/tpm-key";
import { withTpm, type TpmTools } from "@fairlead/agent/tpm-tools";
import { toSessionStatement, type CredentialChallenge } from "@fairlead/protocol";
import { generateKeyPairSync, sign } from "node:crypto";
import type { TestPlane } from "./plane.ts";
import type { SoftwareTpm } from "./swtpm.ts";

type Answer = Record<string, unknown> & { readonly status: number };

/** A device reduced to its TPM: every step of an enrolment by itself, so that a test can bend each one. */
export class RawTpmDevice {
  readonly #tpm: SoftwareTpm;
  readonly #folder: string;
  readonly blobs: TpmKeyBlobs;
  readonly endorsement: Endorsement;

  private constructor(tpm: SoftwareTpm, folder: string, made: { blobs: TpmKeyBlobs; endorsement: Endorsement }) {
    this.#tpm = tpm;
    this.#folder = folder;
    this.blobs = made.blobs;
    this.endorsement = made.endorsement;
  }

  static async make(tpm: SoftwareTpm, folder: string, kind: "rsa" | "ecc" = "rsa"): Promise<RawTpmDevice> {
    const made = await talk(tpm, folder, async (tools) => ({
      blobs: await createTpmKey(tools),
      endorsement: await loadEndorsement(tools, kind),
    }));
    return new RawTpmDevice(tpm, folder, made);
  }

  /** A conversation with the TPM. */
  talk<Value>(use: (tools: TpmTools) => Promise<Value>): Promise<Value> {
    return talk(this.#tpm, this.#folder, use);
  }

  get signer(): RequestSigner {
    return { publicKey: toPublicKeyOf(this.blobs), sign: (message) => this.sign(message) };
  }

  sign(message: Uint8Array): Promise<Buffer> {
    return this.talk(async (tools) => {
      await loadTpmKey(tools, this.blobs);
      return await signWithTpm(tools, message);
    });
  }

  async toRequest(device: string): Promise<Record<string, unknown>> {
    return {
      device,
      csr: await createCertificateRequest(this.signer, device),
      profile: "generic-x86",
      endorsementKey: this.endorsement.publicArea.toString("base64"),
      endorsementCertificate: this.endorsement.certificate?.toString("base64") ?? null,
      publicArea: this.blobs.publicArea,
    };
  }

  /** What this TPM gets out of the credential with this key loaded; base64. */
  open(answer: Answer, kind: "rsa" | "ecc" = "rsa"): Promise<string> {
    return this.talk(async (tools) => {
      await loadTpmKey(tools, this.blobs);
      await loadEndorsement(tools, kind);
      return (await activateCredential(tools, answer as unknown as CredentialChallenge)).toString("base64");
    });
  }

  /** A request for a session, signed by this TPM or by whatever else is given. */
  async toSessionRequest(
    plane: TestPlane,
    device: string,
    signIdentity: (message: Uint8Array) => Promise<Buffer> | Buffer = (message) => this.sign(message),
  ): Promise<{ readonly body: Record<string, string>; readonly keyPem: string }> {
    const { challenge } = await plane.post("/api/v1/device/session/challenge", { device });
    const pair = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const publicKey = pair.publicKey.export({ type: "spki", format: "der" }).toString("base64");
    const text = toSessionStatement(plane.tenant, { device, challenge: String(challenge), publicKey });
    const statement = Buffer.from(text, "utf8");
    return {
      body: {
        ...{ device, challenge: String(challenge), publicKey },
        identitySignature: (await signIdentity(statement)).toString("base64"),
        keySignature: sign("sha256", statement, pair.privateKey).toString("base64"),
      },
      keyPem: pair.privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
    };
  }
}

function talk<Value>(tpm: SoftwareTpm, folder: string, use: (tools: TpmTools) => Promise<Value>): Promise<Value> {
  return withTpm({ config: { tcti: tpm.tcti, endorsement: "rsa", timeoutMs: 30_000 }, folder, use });
}
