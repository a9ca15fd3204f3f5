import { createEgress, resolveBySystem, type Egress } from "@fairlead/egress";
import { toErrorCode, type Clock, type CodedError, type Logger } from "@fairlead/kernel";
import type { EventData } from "@fairlead/protocol";
import type { Agent } from "node:https";
import type { MetadataMirror } from "../trust/release-admission.ts";
import { createMetadataFetch } from "../trust/metadata-fetch.ts";
import { createMirrorSource, createPlaneSource, type ArtifactSource } from "./artifact-source.ts";
import { toUsable, withFailure, withSuccess, type MirrorHealth } from "./mirror-health.ts";

/** A server of the site's own, by the device's configuration. */
export interface ConfiguredMirror {
  /** `https://…{digest}…`. */
  readonly url: string;
  /** Base address of a copy of the metadata, asked while the plane cannot be reached; null: artifacts alone. */
  readonly metadataUrl: string | null;
  /** PEM of the authority that its certificate comes from; null: the system's. */
  readonly ca: string | null;
}

export interface MirrorsOptions {
  readonly configured: readonly ConfiguredMirror[];
  /** Patterns of the desired state: the plane's own, and mirrors that it names. */
  readonly desired: () => readonly string[];
  /** The plane, as the enrolment named it; its certificate agent is used for this origin and for no other. */
  readonly apiUrl: string;
  readonly agent: Agent;
  readonly emit: (data: EventData) => void;
  readonly clock: Clock;
  readonly random: () => number;
  readonly logger: Logger;
}

/** Only what the device's own configuration names by a loopback name may be on the device itself. */
function isLoopbackName(url: string): boolean {
  return /^(?:localhost|127(?:\.\d+){3}|\[::1\])$/u.test(new URL(url).hostname);
}

function openEgress(
  clock: Clock,
  { ca, loopback }: { readonly ca: string | null; readonly loopback: boolean },
): Egress {
  return createEgress({
    policy: { allowsPlainHttp: false, ports: "any", addresses: { kind: "site", allowsLoopback: loopback } },
    resolve: resolveBySystem,
    clock,
    tls: ca === null ? {} : { ca },
  });
}

/**
 * Where artifacts come from: mirrors in their order, those that failed left alone for a while, and the plane as the last
 * resort. A mirror gets neither the device's certificate nor a token, and what it sends counts by length and digest alone.
 */
export class Mirrors {
  readonly #options: MirrorsOptions;
  readonly #configured: readonly { readonly url: string; readonly egress: Egress }[];
  readonly metadata: readonly MetadataMirror[];
  readonly #named: Egress;
  #health: MirrorHealth = new Map();

  constructor(options: MirrorsOptions) {
    const { configured, clock } = options;
    this.#options = options;
    this.#configured = configured.map(({ url, ca }) => ({
      url,
      egress: openEgress(clock, { ca, loopback: isLoopbackName(url) }),
    }));
    this.metadata = configured.flatMap(({ metadataUrl, ca }) => {
      if (metadataUrl === null) return [];
      const { origin: name } = new URL(metadataUrl);
      const fetch = createMetadataFetch(openEgress(clock, { ca, loopback: isLoopbackName(metadataUrl) }));
      return [
        { name, metadataUrl, fetch, isAside: () => clock.monotonicMs() < (this.#health.get(name)?.untilMs ?? 0) },
      ];
    });
    this.#named = openEgress(clock, { ca: null, loopback: false });
  }

  /** In the order in which they are to be asked now. */
  sourcesOf(digest: string): ArtifactSource[] {
    const { desired, apiUrl, agent, clock } = this.#options;
    const plane = new URL("/api/v1/artifacts/{digest}", apiUrl);
    const fill = (pattern: string): string => pattern.replaceAll(/\{digest\}|%7Bdigest%7D/gu, digest);
    const named = desired().filter((pattern) => new URL(fill(pattern)).origin !== plane.origin);
    const sources = [
      ...this.#configured.map(({ url, egress }) => createMirrorSource(fill(url), egress)),
      ...named.map((pattern) => createMirrorSource(fill(pattern), this.#named)),
      createPlaneSource(fill(plane.href), { agent }),
    ];
    return toUsable(sources, this.#health, clock.monotonicMs());
  }

  onServed({ kind, name }: ArtifactSource): void {
    if (kind === "plane" || !this.#health.has(name)) return;
    this.#health = withSuccess(this.#health, name);
    this.#options.logger.info("a mirror serves again", { mirror: name });
  }

  onFailed({ kind, name }: ArtifactSource, error: CodedError): void {
    const code = toErrorCode(error) ?? "unknown";
    this.#options.logger.warn("a source of artifacts failed", { source: name, code, reason: error.message });
    // A mirror that does not have a file (yet) is not to blame: the next artifact is asked of it again.
    if (kind === "plane" || code === "download_absent") return;
    this.#putAside(name, { code, reason: error.message });
  }

  onMetadataFailed({ name }: MetadataMirror, failure: { readonly code: string; readonly reason: string }): void {
    this.#options.logger.warn("a mirror of the metadata is not believed", { source: name, ...failure });
    this.#putAside(name, failure);
  }

  #putAside(name: string, failure: { readonly code: string; readonly reason: string }): void {
    const { clock, random, emit } = this.#options;
    const { code } = failure;
    const reason = failure.reason.slice(0, 256);
    const nowMs = clock.monotonicMs();
    this.#health = withFailure(this.#health, name, { nowMs, random: random() });
    const forMs = Math.round((this.#health.get(name)?.untilMs ?? nowMs) - nowMs);
    emit({ kind: "mirror-set-aside", mirror: name.slice(0, 256), code: code.slice(0, 64), reason, forMs });
  }
}
