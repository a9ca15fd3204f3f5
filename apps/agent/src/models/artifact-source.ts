import type { Egress } from "@fairlead/egress";
import { CodedError } from "@fairlead/kernel";
import type { IncomingHttpHeaders } from "node:http";
import { request, type Agent } from "node:https";

export interface ArtifactAsk {
  readonly headers: Readonly<Record<string, string>>;
  /** Of the whole artifact, by the signed release. */
  readonly sizeBytes: number;
  readonly signal: AbortSignal;
}

export interface OpenedArtifact {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: AsyncIterable<Buffer>;
  /** Ends the transfer; who reads the body gets the reason. */
  readonly close: (reason?: Error) => void;
}

/** Where one artifact can be had. Trust is in the signed length and digest, so a source is nobody who must be believed. */
export interface ArtifactSource {
  readonly kind: "plane" | "mirror";
  /** Origin, for reasons and for counting what it did. */
  readonly name: string;
  open(ask: ArtifactAsk): Promise<OpenedArtifact>;
}

export interface PlaneSourceOptions {
  readonly agent: Agent;
  /** From the question to the end of the answer's header. Default 30 s. */
  readonly answerTimeoutMs?: number;
}

/** The control plane: its authority is trusted and the device's certificate is shown, here and to nobody else. */
export function createPlaneSource(
  url: string,
  { agent, answerTimeoutMs = 30_000 }: PlaneSourceOptions,
): ArtifactSource {
  const { host, origin } = new URL(url);
  return {
    kind: "plane",
    name: origin,
    open: ({ headers, signal }) =>
      new Promise((resolve, reject) => {
        const sent = request(url, { agent, headers, signal }, (response) => {
          clearTimeout(late);
          resolve({
            ...{ status: response.statusCode ?? 0, headers: response.headers, body: response },
            close: (reason) => void response.destroy(reason),
          });
        });
        // Counted to the end of the header: one that drips keeps the connection awake.
        const late = setTimeout(
          () => sent.destroy(new CodedError("download_stalled", `${host} does not answer`)),
          answerTimeoutMs,
        );
        sent.on("error", reject);
        // An answer that wants to speak another protocol ends without an error of its own.
        sent.on("close", () => {
          clearTimeout(late);
          reject(new CodedError("download_refused", `${host} ended the connection without an answer`));
        });
        sent.end();
      }),
  };
}

/** A mirror that brings less is left for the next source; the one after may be a slower link, but it is honest. */
const mirrorLimits = {
  answerTimeoutMs: 15_000,
  idleTimeoutMs: 10_000,
  totalTimeoutMs: 86_400_000,
  minBytesPerSecond: 4_096,
  speedWindowMs: 5_000,
};

/** Somebody else's server: neither certificate nor token is shown, its address is judged before it is connected to. */
export function createMirrorSource(url: string, egress: Egress): ArtifactSource {
  return {
    kind: "mirror",
    name: new URL(url).origin,
    open: async ({ headers, sizeBytes, signal }) => {
      const ended = new AbortController();
      const limits = { ...mirrorLimits, maxResponseBytes: sizeBytes };
      const either = AbortSignal.any([signal, ended.signal]);
      const {
        status,
        headers: answered,
        body,
      } = await egress.open({ method: "GET", url, headers, limits, signal: either });
      return { status, headers: answered, body, close: (reason) => ended.abort(reason) };
    },
  };
}
