import { CodedError } from "@fairlead/kernel";
import type { HttpErrorCode } from "@fairlead/protocol";

const decoder = new TextDecoder("utf-8", { fatal: true });

/** Reads at most `maxBytes`, whatever the length header claims. @throws CodedError `payload_too_large` · `bad_request` · `unsupported_media_type` */
export async function readJson(request: Request, maxBytes: number): Promise<unknown> {
  const type = request.headers.get("content-type") ?? "";
  if (!/^application\/(?:json|[a-z.-]+\+json)\s*(?:;|$)/iu.test(type)) {
    throw new CodedError<HttpErrorCode>("unsupported_media_type", "the body must be JSON", {
      hint: "send content-type: application/json",
    });
  }
  const refuse = (): never => {
    throw new CodedError<HttpErrorCode>("payload_too_large", `the body exceeds ${maxBytes} bytes`);
  };
  if (Number(request.headers.get("content-length") ?? 0) > maxBytes) return refuse();
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of request.body ?? []) {
    size += chunk.byteLength;
    if (size > maxBytes) return refuse();
    chunks.push(chunk);
  }
  try {
    return JSON.parse(decoder.decode(Buffer.concat(chunks)));
  } catch (error) {
    throw new CodedError<HttpErrorCode>("bad_request", "the body is not UTF-8 JSON", { cause: error });
  }
}
