import { CodedError, toErrorCode, toErrorMessage } from "@fairlead/kernel";
import { request as requestHttp, type Agent, type IncomingMessage } from "node:http";
import { request as requestHttps } from "node:https";
import type { FetchResource } from "./updater.ts";

export interface HttpFetchOptions {
  /** Carries the authority that is trusted and the certificate that is shown. */
  readonly agent?: Agent;
  /** For the answer to begin, its header whole; a header that drips keeps a connection awake and counts all the same. */
  readonly answerTimeoutMs?: number;
  /** For all of the answer: at the least speed alone the largest document would hold up every other question for hours. */
  readonly totalTimeoutMs?: number;
  /** Each `stallMs` must bring `stallBytes`, so that a server that drips is left (slow retrieval attack). */
  readonly stallMs?: number;
  readonly stallBytes?: number;
}

const defaults = { answerTimeoutMs: 15_000, totalTimeoutMs: 600_000, stallMs: 10_000, stallBytes: 1_024 };
const maxHeaderBytes = 16_384;

function unreachable(url: string, why: string): CodedError {
  return new CodedError("metadata_unreachable", `unreachable: ${new URL(url).host}: ${why}`);
}

function ask(url: string, options: HttpFetchOptions): Promise<IncomingMessage> {
  const request = url.startsWith("https:") ? requestHttps : requestHttp;
  return new Promise((resolve, reject) => {
    const sent = request(
      url,
      {
        headers: { accept: "application/json, application/octet-stream", "accept-encoding": "identity" },
        maxHeaderSize: maxHeaderBytes,
        ...(options.agent === undefined ? { agent: false } : { agent: options.agent }),
      },
      (response) => {
        clearTimeout(late);
        resolve(response);
      },
    );
    const late = setTimeout(
      () => sent.destroy(new Error("no answer in time")),
      options.answerTimeoutMs ?? defaults.answerTimeoutMs,
    );
    sent.on("error", (error) => reject(unreachable(url, toErrorCode(error) ?? toErrorMessage(error))));
    // Also an answer that wants to speak another protocol (101) ends here, without an error of its own.
    sent.on("close", () => {
      clearTimeout(late);
      reject(unreachable(url, "the connection ended without an answer"));
    });
    sent.end();
  });
}

async function read(response: IncomingMessage, maxBytes: number, options: HttpFetchOptions): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let received = 0;
  let seen = 0;
  const stall = setInterval(() => {
    if (received - seen < (options.stallBytes ?? defaults.stallBytes))
      response.destroy(new Error("less than the least speed"));
    seen = received;
  }, options.stallMs ?? defaults.stallMs);
  const total = setTimeout(
    () => response.destroy(new Error("the answer takes too long")),
    options.totalTimeoutMs ?? defaults.totalTimeoutMs,
  );
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      received += chunk.length;
      if (received > maxBytes) throw new CodedError("metadata_refused", `longer than ${maxBytes} bytes`);
      chunks.push(chunk);
    }
  } finally {
    clearInterval(stall);
    clearTimeout(total);
    response.destroy();
  }
  return Buffer.concat(chunks);
}

/**
 * One GET without redirects or compression, bounded in bytes and by a least speed. Only http and https are spoken.
 * @throws CodedError `metadata_unreachable` · `metadata_refused`
 */
export function createHttpFetch(options: HttpFetchOptions = {}): FetchResource {
  return async (url, maxBytes) => {
    if (!/^https?:$/u.test(new URL(url).protocol)) throw unreachable(url, "only http and https are spoken");
    const response = await ask(url, options);
    const { statusCode = 0, headers } = response;
    if (statusCode !== 200) {
      response.destroy();
      // The Update Framework §5.3.3: no such version is the end of the chain of roots.
      if (statusCode === 404 || statusCode === 403) return { kind: "absent", status: statusCode };
      throw unreachable(url, `status ${statusCode}`);
    }
    const encoding = headers["content-encoding"];
    if (encoding !== undefined && encoding !== "identity") {
      response.destroy();
      throw new CodedError("metadata_refused", `content encoding ${encoding} was not asked for`);
    }
    try {
      return { kind: "bytes", bytes: await read(response, maxBytes, options) };
    } catch (error) {
      throw error instanceof CodedError ? error : unreachable(url, toErrorMessage(error));
    }
  };
}
