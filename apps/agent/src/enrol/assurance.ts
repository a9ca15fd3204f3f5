import type { Assurance } from "@fairlead/protocol";

const texts: Readonly<Record<Assurance, string>> = {
  software: "in a file (software)",
  tpm: "in the TPM (tpm); nobody vouches for the TPM itself",
  "tpm-endorsed": "in the TPM (tpm-endorsed), which its endorsement key proved",
};

/** Where the private key lives, in words that follow "key". */
export function describeAssurance(assurance: Assurance): string {
  return texts[assurance];
}
