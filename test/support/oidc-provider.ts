// Registers what the certificate library needs, before it is loaded.
import "@fairlead/bus/testing";
import { randomBytes, randomUUID } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { createAuthorityPair, issueServerPair, parseAuthority } from "@fairlead/control-plane/certificates";
import { exportJWK, generateKeyPair, SignJWT, type CryptoKey, type JWK, type JWTPayload } from "jose";

export interface ProviderKey {
  readonly kid: string;
  readonly alg: "RS256" | "ES256" | "EdDSA";
  readonly privateKey: CryptoKey;
  readonly publicKey: CryptoKey;
  readonly jwk: JWK;
}

export async function createProviderKey(kid: string, alg: ProviderKey["alg"] = "RS256"): Promise<ProviderKey> {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
  return { kid, alg, privateKey, publicKey, jwk: { ...(await exportJWK(publicKey)), kid, alg, use: "sig" } };
}

interface Login {
  readonly userCode: string;
  readonly state: "pending" | "denied" | { readonly subject: string; readonly claims: JWTPayload };
}

/** A small OpenID provider on this machine: discovery, keys that rotate, the device grant (RFC 8628), refresh tokens. */
export class OidcProvider implements AsyncDisposable {
  readonly clientId = "fairlead-cli";
  /** The keys that it publishes now; the first one signs. */
  keys: ProviderKey[];
  readonly ca: string;
  /** Paths that were asked for, in order. */
  readonly requests: string[] = [];
  /** Life of the tokens that it gives out, in seconds. */
  tokenLifeS = 300;
  /** Answers `slow_down` so many times before it says anything else. */
  slowDowns = 0;
  readonly #server: ReturnType<typeof createServer>;
  readonly #logins = new Map<string, Login>();
  readonly #refreshTokens = new Map<string, { readonly subject: string; readonly claims: JWTPayload }>();

  private constructor(server: ReturnType<typeof createServer>, ca: string, key: ProviderKey) {
    this.#server = server;
    this.ca = ca;
    this.keys = [key];
    server.on("request", (request, response) => {
      this.#answer(request, response).catch(() => response.destroy());
    });
  }

  static async start(): Promise<OidcProvider> {
    const nowMs = Date.now();
    const authority = await parseAuthority(await createAuthorityPair(nowMs));
    const pair = await issueServerPair(authority, { names: ["localhost", "127.0.0.1"], nowMs });
    const server = createServer({ key: pair.keyPem, cert: pair.certificatePem });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return new OidcProvider(server, authority.certificatePem, await createProviderKey("first"));
  }

  get issuer(): string {
    return `https://localhost:${(this.#server.address() as AddressInfo).port}`;
  }

  /** A token as this provider signs it, unless something is said otherwise. */
  async sign(
    claims: Readonly<Record<string, unknown>>,
    options: { readonly key?: ProviderKey; readonly header?: Readonly<Record<string, unknown>> } = {},
  ): Promise<string> {
    const key = options.key ?? this.keys[0];
    if (key === undefined) throw new Error("the provider has no key");
    const nowS = Math.floor(Date.now() / 1_000);
    const usual = { iss: this.issuer, aud: this.clientId, jti: randomUUID(), iat: nowS, exp: nowS + this.tokenLifeS };
    return await new SignJWT({ ...usual, ...claims })
      .setProtectedHeader({ alg: key.alg, kid: key.kid, ...options.header })
      .sign(key.privateKey);
  }

  /** What a person does in the browser; the newest login that waits, when no code is given. */
  decide(decision: Exclude<Login["state"], "pending">): void {
    const [deviceCode, login] = [...this.#logins].findLast(([, { state }]) => state === "pending") ?? [];
    if (deviceCode === undefined || login === undefined) throw new Error("nobody waits for a decision");
    this.#logins.set(deviceCode, { ...login, state: decision });
  }

  get waiting(): number {
    return [...this.#logins.values()].filter(({ state }) => state === "pending").length;
  }

  /** As after a sign-out at the provider. */
  forgetRefreshTokens(): void {
    this.#refreshTokens.clear();
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = request.url ?? "";
    this.requests.push(path);
    let body = "";
    for await (const chunk of request) body += String(chunk);
    const form = new URLSearchParams(body);
    const json = (value: unknown, status = 200) => {
      response.writeHead(status, { "content-type": "application/json" });
      response.end(JSON.stringify(value));
    };
    const { issuer } = this;
    switch (path) {
      case "/.well-known/openid-configuration":
        return json({
          ...{ issuer, jwks_uri: `${issuer}/keys`, token_endpoint: `${issuer}/token` },
          device_authorization_endpoint: `${issuer}/device`,
        });
      case "/keys":
        return json({ keys: this.keys.map(({ jwk }) => jwk) });
      case "/device":
        return json(this.#startLogin());
      case "/token":
        return json(...(await this.#grant(form)));
      default:
        return json({ error: "not_found" }, 404);
    }
  }

  #startLogin() {
    const deviceCode = randomBytes(32).toString("base64url");
    const userCode = randomBytes(4).toString("hex").toUpperCase();
    this.#logins.set(deviceCode, { userCode, state: "pending" });
    const verification = { verification_uri: `${this.issuer}/enter`, expires_in: 60, interval: 1 };
    return { device_code: deviceCode, user_code: userCode, ...verification };
  }

  async #grant(form: URLSearchParams): Promise<[unknown, number]> {
    if (form.get("client_id") !== this.clientId) return [{ error: "invalid_client" }, 401];
    if (form.get("grant_type") === "refresh_token") {
      const old = form.get("refresh_token") ?? "";
      const known = this.#refreshTokens.get(old);
      this.#refreshTokens.delete(old);
      return known === undefined ? [{ error: "invalid_grant" }, 400] : [await this.#issue(known), 200];
    }
    const deviceCode = form.get("device_code") ?? "";
    const login = this.#logins.get(deviceCode);
    if (login === undefined) return [{ error: "expired_token" }, 400];
    if (this.slowDowns > 0) {
      this.slowDowns -= 1;
      return [{ error: "slow_down" }, 400];
    }
    if (login.state === "pending") return [{ error: "authorization_pending" }, 400];
    this.#logins.delete(deviceCode);
    return login.state === "denied" ? [{ error: "access_denied" }, 400] : [await this.#issue(login.state), 200];
  }

  async #issue(person: { readonly subject: string; readonly claims: JWTPayload }) {
    const refreshToken = randomBytes(32).toString("base64url");
    this.#refreshTokens.set(refreshToken, person);
    const idToken = await this.sign({ sub: person.subject, ...person.claims });
    const opaque = { access_token: randomBytes(16).toString("hex"), token_type: "Bearer" };
    return { ...opaque, id_token: idToken, refresh_token: refreshToken, expires_in: this.tokenLifeS };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }
}

/** The file with which a plane is told of this provider. */
export function toOidcFile(provider: OidcProvider, caFile: string): string {
  return JSON.stringify({
    ...{ issuer: provider.issuer, clientId: provider.clientId, caFile, clockToleranceS: 5 },
    roles: {
      claim: "groups",
      values: [
        { value: "fleet-admins", role: "admin" },
        { value: "fleet-ops", role: "operator" },
        { value: "fleet-watch", role: "viewer" },
      ],
    },
    selectors: {
      claim: ["place", "sites"],
      values: [
        { value: "everywhere", wholeFleet: true },
        { value: "berlin", selector: "site=berlin" },
      ],
    },
  });
}
