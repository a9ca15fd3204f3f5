/** What the client needs of a response: a subset of the Fetch standard, so that any implementation fits. */
export interface FetchResponse {
  readonly ok: boolean;
  readonly status: number;
  readonly statusText: string;
  readonly headers: { get(name: string): string | null };
  readonly body: AsyncIterable<Uint8Array> | null;
  text(): Promise<string>;
}

export interface FetchInit {
  readonly method: string;
  readonly headers: Record<string, string>;
  readonly body?: string | AsyncIterable<Uint8Array>;
  /** Fetch standard §5.4: a streamed request body needs it. */
  readonly duplex?: "half";
  readonly redirect: "error";
  readonly signal: AbortSignal;
}

/** The injected transport: the browser's `fetch`, or one bound to a pinned certificate authority. */
export type HttpFetch = (url: string, init: FetchInit) => Promise<FetchResponse>;
