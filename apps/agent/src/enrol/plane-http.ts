import { CodedError, toErrorCode, toErrorMessage } from "@fairlead/kernel";
import { limits, problemSchema } from "@fairlead/protocol";
import { request } from "node:https";
import type * as z from "zod";

export interface PlaneCall<Schema extends z.ZodType> {
  readonly url: string;
  /** PEM of the authority to trust; null trusts anything and is only for the question which authority it is. */
  readonly ca: string | null;
  readonly body?: unknown;
  /** Certificate and key (PEM) to show; absent: none. */
  readonly identity?: { readonly key: string; readonly cert: string };
  readonly schema: Schema;
  readonly timeoutMs?: number;
}

interface Answer {
  readonly status: number;
  readonly text: string;
}

interface Ask {
  readonly body: string | undefined;
  readonly timeoutMs: number;
  readonly identity: PlaneCall<z.ZodType>["identity"];
}

function ask(url: string, ca: string | null, call: Ask): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = request(
      url,
      {
        method: call.body === undefined ? "GET" : "POST",
        headers: {
          accept: "application/json",
          ...(call.body === undefined ? {} : { "content-type": "application/json" }),
        },
        agent: false,
        signal: AbortSignal.timeout(call.timeoutMs),
        ...(ca === null ? { rejectUnauthorized: false } : { ca }),
        ...call.identity,
      },
      (response) => {
        const chunks: Buffer[] = [];
        let size = 0;
        response.on("data", (chunk: Buffer) => {
          size += chunk.length;
          if (size > limits.httpJsonBytes) response.destroy(new Error("the answer is too long"));
          else chunks.push(chunk);
        });
        response.on("error", reject);
        response.on("end", () =>
          resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString("utf8") }),
        );
      },
    );
    sent.on("error", reject);
    sent.end(call.body);
  });
}

function toRefusal({ status, text }: Answer, url: string): CodedError {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = undefined;
  }
  const problem = problemSchema.safeParse(value);
  if (!problem.success) return new CodedError("plane_refused", `${new URL(url).host} answered with status ${status}`);
  const { code, title, detail } = problem.data;
  return new CodedError(code, detail ?? title, { hint: "see the control plane's audit log and its enrolments" });
}

/**
 * One JSON request without redirects, bounded in size and time.
 * @throws CodedError `plane_unreachable` · `plane_answer_invalid` · the code of the plane's problem document
 */
export async function callPlane<Schema extends z.ZodType>(call: PlaneCall<Schema>): Promise<z.infer<Schema>> {
  const { url, ca, schema, timeoutMs = 15_000 } = call;
  const body = call.body === undefined ? undefined : JSON.stringify(call.body);
  const answer = await ask(url, ca, { body, timeoutMs, identity: call.identity }).catch((error: unknown) => {
    throw new CodedError("plane_unreachable", `${new URL(url).host}: ${toErrorCode(error) ?? toErrorMessage(error)}`, {
      cause: error,
      hint: "check that the control plane runs and that this device can reach it",
    });
  });
  if (answer.status < 200 || answer.status > 299) throw toRefusal(answer, url);
  try {
    return schema.parse(JSON.parse(answer.text));
  } catch (error) {
    throw new CodedError("plane_answer_invalid", `${new URL(url).pathname}: the answer is not of the protocol`, {
      cause: error,
      hint: "check that --server names a Fairlead control plane of this version",
    });
  }
}
