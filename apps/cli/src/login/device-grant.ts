import { hasErrorCode } from "@fairlead/kernel";
import * as z from "zod";
import { CliError } from "../errors.ts";
import type { IssuerAnswer } from "./issuer.ts";
import { parseTokens, type Tokens } from "./tokens.ts";

/** RFC 8628 §3.2. */
const startedSchema = z.object({
  device_code: z.string().min(1).max(4_096),
  user_code: z.string().min(1).max(64),
  verification_uri: z.url({ protocol: /^https?$/u }).max(2_048),
  verification_uri_complete: z
    .url({ protocol: /^https?$/u })
    .max(2_048)
    .optional(),
  expires_in: z.number().positive().max(86_400),
  interval: z.number().min(1).max(600).default(5),
});
export type StartedLogin = z.infer<typeof startedSchema>;

/** @throws CliError `login_refused` */
export function parseStarted({ status, body }: IssuerAnswer): StartedLogin {
  const parsed = startedSchema.safeParse(body);
  if (status === 200 && parsed.success) return parsed.data;
  throw new CliError("login_refused", "the issuer does not let this client sign in with a code", {
    hint: "the client must be public and have the device grant (RFC 8628) at the issuer",
  });
}

export interface AwaitOptions {
  readonly started: StartedLogin;
  /** One request for the tokens. */
  readonly ask: () => Promise<IssuerAnswer>;
  /** Rejects when the person at the terminal gives up. */
  readonly wait: (delayMs: number) => Promise<void>;
  readonly nowMs: () => number;
}

function toErrorName(body: unknown): string {
  const named = z.object({ error: z.string().max(64) }).safeParse(body);
  return named.success ? named.data.error : "";
}

/**
 * Asks as often as the issuer wants to be asked (RFC 8628 §3.5): slower by five seconds when it says so, half as often after
 * each time that it could not be reached.
 * @throws CliError `login_refused` · `login_expired`
 */
export async function awaitLogin({ started, ask, wait, nowMs }: AwaitOptions): Promise<Tokens> {
  const endsAtMs = nowMs() + started.expires_in * 1_000;
  let intervalS = started.interval;
  for (;;) {
    await wait(intervalS * 1_000);
    if (nowMs() >= endsAtMs) break;
    const answer = await ask().catch((error: unknown) => {
      if (!hasErrorCode(error, "issuer_unreachable")) throw error;
      return null;
    });
    if (answer === null) {
      intervalS = Math.min(intervalS * 2, 60);
      continue;
    }
    if (answer.status === 200) return parseTokens(answer.body, nowMs());
    const error = toErrorName(answer.body);
    if (error === "slow_down") intervalS += 5;
    else if (error === "expired_token") break;
    else if (error !== "authorization_pending")
      throw new CliError(
        "login_refused",
        error === "access_denied" ? "the sign-in was refused" : "the issuer refuses the sign-in",
      );
  }
  throw new CliError("login_expired", "nobody confirmed the code in time", { hint: "fairlead login" });
}
