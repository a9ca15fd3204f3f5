import { request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";
import { CodedError } from "@fairlead/kernel";
import { isTrustedTransport } from "./config.ts";

export interface FetchLimits {
  readonly maxBytes: number;
  /** For the whole answer, however it trickles. */
  readonly timeoutMs: number;
}
/** Text of a document at an address; anything but a whole, small, quick 200 throws. */
export type FetchDocument = (url: string) => Promise<string>;

/** Follows no redirect: the address in the configuration, or in the issuer's own document, is the one that counts. */
export function createFetchDocument(
  ca: string | undefined,
  limits: FetchLimits = { maxBytes: 262_144, timeoutMs: 5_000 },
): FetchDocument {
  return async (url) => {
    if (!isTrustedTransport(url)) throw new CodedError("unavailable", `${url} is not reached by https`);
    const signal = AbortSignal.timeout(limits.timeoutMs);
    const request = url.startsWith("https:") ? requestHttps : requestHttp;
    return await new Promise<string>((resolve, reject) => {
      const fail = (why: string, cause?: unknown) =>
        reject(new CodedError("unavailable", `${url}: ${why}`, cause === undefined ? {} : { cause }));
      const options = { headers: { accept: "application/json" }, agent: false, signal } as const;
      const sent = request(url, { ...options, ...(ca === undefined ? {} : { ca }) }, (response) => {
        const end = (why: string) => {
          fail(why);
          sent.destroy();
        };
        if (response.statusCode !== 200) return end(`answered ${response.statusCode}`);
        const chunks: Buffer[] = [];
        let sizeBytes = 0;
        response.on("data", (chunk: Buffer) => {
          sizeBytes += chunk.byteLength;
          if (sizeBytes > limits.maxBytes) return end(`answered more than ${limits.maxBytes} bytes`);
          chunks.push(chunk);
        });
        response.on("error", (error) => fail("the answer broke off", error));
        response.on("end", () => resolve(Buffer.concat(chunks).toString("utf8")));
      });
      sent.on("error", (error) =>
        fail(signal.aborted ? `no answer within ${limits.timeoutMs} ms` : "cannot be reached", error),
      );
      sent.end();
    });
  };
}
