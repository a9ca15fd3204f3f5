import type { CredentialChallenge } from "@fairlead/protocol";
import type { TpmConfig } from "./tpm-config.ts";
import type { TpmTools } from "./tpm-tools.ts";

/** TCG EK Credential Profile 2.x, clause 2.2.1.4: where makers put the certificates. */
const certificateIndex = { rsa: 0x1c00002, ecc: 0x1c0000a } as const;
/** What `tpm2_activatecredential` reads: a magic number, version 1, the credential blob, the encrypted secret. */
const credentialHeader = Buffer.from("badcc0de00000001", "hex");

export interface Endorsement {
  /** TPM2B_PUBLIC. */
  readonly publicArea: Buffer;
  /** DER; null: the TPM has none. */
  readonly certificate: Buffer | null;
}

async function readCertificate(tools: TpmTools, index: number): Promise<Buffer | null> {
  const handles = await tools.run("tpm2_getcap", ["handles-nv-index"]);
  if (!new RegExp(`0x${index.toString(16)}\\b`, "iu").test(handles)) return null;
  await tools.run("tpm2_nvread", ["-Q", "-C", "o", `0x${index.toString(16)}`, "-o", "endorsement.der"]);
  return await tools.read("endorsement.der");
}

/** The endorsement key, as `endorsement.ctx`: made from the TPM's endorsement seed, so always the same. */
export async function loadEndorsement(tools: TpmTools, kind: TpmConfig["endorsement"]): Promise<Endorsement> {
  await tools.create("tpm2_createek", ["-Q", "-G", kind, "-c", "endorsement.ctx", "-u", "endorsement.pub"]);
  return {
    publicArea: await tools.read("endorsement.pub"),
    certificate: await readCertificate(tools, certificateIndex[kind]),
  };
}

/** TPM2_ActivateCredential with both keys loaded: what the plane put into the credential. */
export async function activateCredential(tools: TpmTools, challenge: CredentialChallenge): Promise<Buffer> {
  const parts = [challenge.credentialBlob, challenge.encryptedSecret].map((part) => Buffer.from(part, "base64"));
  await tools.write("credential", Buffer.concat([credentialHeader, ...parts]));
  // The endorsement key's own policy: whoever knows the endorsement hierarchy's (empty) authorisation.
  await tools.run("tpm2_startauthsession", ["--policy-session", "-S", "session.ctx"]);
  await tools.run("tpm2_policysecret", ["-Q", "-S", "session.ctx", "-c", "e"]);
  await tools.create("tpm2_activatecredential", [
    ...["-Q", "-c", "key.ctx", "-C", "endorsement.ctx", "-i", "credential", "-o", "secret"],
    ...["-P", "session:session.ctx"],
  ]);
  await tools.run("tpm2_flushcontext", ["session.ctx"]);
  return await tools.read("secret");
}
