import { CodedError, parseWellFormedJson } from "@fairlead/kernel";
import type { HttpErrorCode } from "@fairlead/protocol";

const decoder = new TextDecoder("utf-8", { fatal: true });

function refusePrototype(name: string, value: unknown): unknown {
  if (name !== "__proto__") return value;
  throw new CodedError<HttpErrorCode>("bad_request", 'the body has a member named "__proto__"', {
    hint: "leave it away",
  });
}

/** A schema does not see a member of that name, and what copies the object later would change its prototype. */
function parseJson(text: string): unknown {
  // Looking at every member costs; only what can spell the name is looked at.
  return parseWellFormedJson(text, /__proto__|\\u00[5-7]/iu.test(text) ? refusePrototype : undefined);
}

/** Reads at most `maxBytes`, whatever the length header claims. @throws CodedError `payload_too_large` · `bad_request` · `unsupported_media_type` */
export async function readJson(request: Request, maxBytes: number): Promise<unknown> {
  const type = request.headers.get("content-type") ?? "";
  if (!/^application\/(?:json|[a-z.-]+\+json)\s*(?:;|$)/iu.test(type)) {
    throw new CodedError<HttpErrorCode>("unsupported_media_type", "the body must be JSON", {
      hint: "send content-type: application/json",
    });
  }
  const encoding = request.headers.get("content-encoding") ?? "identity";
  if (encoding !== "identity") {
    throw new CodedError<HttpErrorCode>("unsupported_media_type", "the body must not be compressed", {
      hint: "send the JSON as it is",
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
    return parseJson(decoder.decode(Buffer.concat(chunks)));
  } catch (error) {
    if (error instanceof CodedError) throw error;
    throw new CodedError<HttpErrorCode>("bad_request", "the body is not UTF-8 JSON", { cause: error });
  }
}
