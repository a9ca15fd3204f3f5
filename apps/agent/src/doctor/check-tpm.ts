import type { AgentConfig } from "../config.ts";
import type { DeviceKey } from "../enrol/identity.ts";
import { toTpmForNewKey, toTpmOfKey } from "../tpm/tpm-config.ts";
import { loadTpmKey, signWithTpm } from "../tpm/tpm-key.ts";
import { withTpm } from "../tpm/tpm-tools.ts";

/**
 * Does this TPM hold this device's key? It loads it and signs with it. Where the key is in a file, whether there is a
 * TPM that could hold one.
 * @throws CodedError `tpm_tools_missing` · `tpm_unavailable` · `tpm_foreign` · `tpm_failed`
 */
export async function checkTpm(config: AgentConfig, key: DeviceKey | null, folder: string): Promise<string> {
  const isKeyThere = key?.kind === "tpm";
  const tpm = isKeyThere ? toTpmOfKey(config.tpm) : toTpmForNewKey(config.tpm);
  if (tpm === null) return "none is used; the key is in a file";
  await withTpm({
    config: tpm,
    folder,
    use: async (tools) => {
      if (!isKeyThere) return void (await tools.run("tpm2_getcap", ["properties-fixed"]));
      await loadTpmKey(tools, key.blobs);
      await signWithTpm(tools, Buffer.from("fairlead-agent doctor"));
    },
  });
  return isKeyThere
    ? `${tpm.tcti} holds this device's key`
    : `${tpm.tcti} answers; an enrolment would make the key there`;
}
