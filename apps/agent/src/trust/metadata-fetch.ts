import type { Egress } from "@fairlead/egress";
import { CodedError, hasErrorCode, toErrorMessage } from "@fairlead/kernel";
import type { FetchResource } from "@fairlead/updater";

const limits = { answerTimeoutMs: 15_000, idleTimeoutMs: 10_000, totalTimeoutMs: 60_000 };

/** Documents of a mirror: somebody else's server, whose address is judged and whose every answer has a cap and a least speed. */
export function createMetadataFetch(egress: Egress): FetchResource {
  return async (url, maxBytes) => {
    try {
      const capped = { ...limits, maxResponseBytes: maxBytes };
      const { status, body } = await egress.send({ method: "GET", url, limits: capped });
      if (status === 404 || status === 403) return { kind: "absent", status };
      if (status === 200) return { kind: "bytes", bytes: body };
      throw new CodedError("metadata_unreachable", `unreachable: ${new URL(url).host}: status ${status}`);
    } catch (error) {
      if (hasErrorCode(error, "metadata_unreachable")) throw error;
      if (hasErrorCode(error, "response_too_large"))
        throw new CodedError("metadata_refused", `longer than ${maxBytes} bytes`, { cause: error });
      throw new CodedError("metadata_unreachable", `unreachable: ${toErrorMessage(error)}`, { cause: error });
    }
  };
}
