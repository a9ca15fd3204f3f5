import { request as requestHttp, type ClientRequest, type IncomingMessage, type RequestOptions } from "node:http";
import { request as requestHttps } from "node:https";
import type { LookupFunction, Socket } from "node:net";
import { toErrorCode, toErrorMessage } from "@fairlead/kernel";
import { EgressError } from "./errors.ts";
import { maxHeaderBytes } from "./limits.ts";
import { judgeAddress, type AddressPolicy } from "./address-policy.ts";
import type { CheckedAddress } from "./resolve.ts";
import type { Target } from "./target.ts";

/** Whom to trust and what to show. Without `ca` the system's authorities are trusted. */
export interface EgressTls {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
}

export interface Sending {
  readonly target: Target;
  readonly addresses: readonly CheckedAddress[];
  readonly policy: AddressPolicy;
  readonly method: "GET" | "HEAD" | "POST";
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array | undefined;
  readonly tls: EgressTls;
  readonly idleTimeoutMs: number;
  readonly signal: AbortSignal;
}

/** Names of headers that decide where a message goes and where it ends. */
const ownHeaders = new Set(["host", "connection", "content-length", "transfer-encoding", "upgrade", "expect", "te"]);

function toHeaders({ target, headers, body }: Sending): Record<string, string> {
  const given = Object.entries(headers).filter(([name]) => !ownHeaders.has(name.toLowerCase()));
  return {
    "accept-encoding": "identity",
    ...Object.fromEntries(given),
    host: target.authority,
    ...(body === undefined ? {} : { "content-length": String(body.byteLength) }),
  };
}

/** Answers a name with what was checked and with nothing else: there is no second look-up to be fooled. */
function answerChecked(addresses: readonly CheckedAddress[]): LookupFunction {
  return (_name, options, callback) => {
    const [first] = addresses;
    if (options.all === true) callback(null, [...addresses]);
    else if (first === undefined) callback(new Error("no address"), "");
    else callback(null, first.address, first.family);
  };
}

function toUnreachable(target: Target, error: unknown): EgressError {
  if (error instanceof EgressError) return error;
  const why = toErrorCode(error) ?? toErrorMessage(error);
  if (/^(?:HPE_|ERR_HTTP|ERR_INVALID_CHAR)/u.test(why)) {
    return new EgressError("response_refused", `${target.host} does not speak HTTP/1.1 as it is written: ${why}`, {
      cause: error,
    });
  }
  return new EgressError("unreachable", `${target.host}:${target.port} is not reached: ${why}`, { cause: error });
}

/** The peer once more, as the system names it: a guard against everything between the check and the socket. */
function guardPeer(sent: ClientRequest, socket: Socket, policy: AddressPolicy): void {
  const check = () => {
    const verdict = judgeAddress(socket.remoteAddress ?? "", policy);
    if (verdict.kind === "refused") sent.destroy(new EgressError("address_refused", "the peer's address is refused"));
  };
  if (socket.connecting) socket.once("connect", check);
  else check();
}

/**
 * Sends one request over a connection of its own and resolves with the beginning of the answer.
 * @throws EgressError `unreachable` · `response_refused` · `timed_out` · `address_refused`
 */
export function connect(sending: Sending): Promise<IncomingMessage> {
  const { target, method, body, tls, signal } = sending;
  const options: RequestOptions = {
    host: target.host,
    port: target.port,
    path: target.path,
    method,
    headers: toHeaders(sending),
    lookup: answerChecked(sending.addresses),
    agent: false,
    insecureHTTPParser: false,
    maxHeaderSize: maxHeaderBytes,
    signal,
  };
  const encrypted = {
    ...tls,
    ...(target.isAddress ? {} : { servername: target.host }),
    minVersion: "TLSv1.2" as const,
    rejectUnauthorized: true,
  };
  return new Promise((resolve, reject) => {
    const fail = (error: unknown) => reject(signal.aborted ? signal.reason : toUnreachable(target, error));
    try {
      const sent = target.protocol === "https:" ? requestHttps({ ...options, ...encrypted }) : requestHttp(options);
      sent.on("socket", (socket) => guardPeer(sent, socket, sending.policy));
      let answer: IncomingMessage | undefined;
      sent.setTimeout(sending.idleTimeoutMs, () =>
        (answer ?? sent).destroy(
          new EgressError("timed_out", `${target.host}: nothing came for ${sending.idleTimeoutMs} ms`),
        ),
      );
      sent.on("response", (response) => {
        answer = response;
        resolve(response);
      });
      sent.on("error", fail);
      // An answer that wants to speak another protocol ends without an error of its own.
      sent.on("close", () => fail(new Error("the connection ended without an answer")));
      sent.end(body);
    } catch (error) {
      fail(error);
    }
  });
}
