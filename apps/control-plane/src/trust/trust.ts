import { listDelegations, parseMetadata } from "@fairlead/artifacts/tuf";
import { toErrorMessage, type Logger } from "@fairlead/kernel";
import type { TrustState } from "@fairlead/protocol";
import { toOwnDecision } from "../audit/own-decision.ts";
import type { Asker, PlaneContext, PlaneModule } from "../context.ts";
import { createTrustRoutes } from "../http/routes/trust.ts";
import { openOnlineKeys } from "./online-keys.ts";
import { createVouching, type Vouching } from "./vouching.ts";
import { publish, type PublishRequest, type TrustContext } from "./publish.ts";

const dayMs = 86_400_000;
/**
 * Longer than the two days by which a device's clock may be wrong, and short enough that nobody can hold a device back
 * for more than a few days.
 */
const timestampLifeMs = 4 * dayMs;
const checkEveryMs = 600_000;

export interface Trust {
  readState(): Promise<TrustState>;
  publish(request: PublishRequest): ReturnType<typeof publish>;
  /** Another online key for the next root; what it may do is the root's to say. */
  addOnlineKey(by: Asker): Promise<string>;
  /** The bytes of one document under the name by which devices ask. */
  read(name: string): Promise<string | undefined>;
}

export interface TrustModule extends PlaneModule {
  readonly trust: Trust;
  readonly vouching: Vouching;
}

/** The online half of the repository: what publishers signed, kept fresh. */
export function createTrustModule(plane: PlaneContext, logger: Logger = plane.logger): TrustModule {
  const { audit, clock, store, stream, tenant } = plane;
  const keys = openOnlineKeys(plane.dataFolder);
  const context: TrustContext = { audit, clock, store, stream, tenant, keys, timestampLifeMs };
  let problem: string | null = null;
  let timer: NodeJS.Timeout | undefined;

  /** Says again that nothing is newer, well before the last statement ends. */
  const renew = async (): Promise<void> => {
    const timestamp = await store.read.trustMetadata.getNewest("timestamp");
    if (timestamp === undefined) return;
    const untilMs = Date.parse(parseMetadata("timestamp", timestamp.text).signed.expires);
    if (untilMs - clock.nowMs() > (timestampLifeMs * 3) / 4) return;
    try {
      await publish(context, { documents: {}, releases: [], ...toOwnDecision("trust") });
      problem = null;
    } catch (error) {
      problem = toErrorMessage(error);
      logger.error("the trust metadata could not be kept fresh", { error: problem });
    }
  };

  const trust: Trust = {
    publish: (request) => publish(context, request),
    read: async (name) => (await store.read.trustMetadata.get(name))?.text,
    // Without its entry nobody is told of the key; a file that is left over counts for nothing until a root names it.
    addOnlineKey: (by) =>
      store.transaction(async (tx) => {
        const before = keys.all.map(({ key }) => key.keyID);
        const { publicKeyPem, key } = keys.add();
        await audit.append(tx, {
          ...{ ...by, action: "trust.add-online-key", subject: "trust", reason: "asked for" },
          change: { before: { keyIds: before }, after: { keyIds: [...before, key.keyID] } },
        });
        return publicKeyPem;
      }),
    readState: async () => {
      const rows = await store.read.trustMetadata.listNewest();
      const targets = rows.find(({ role }) => role === "targets");
      const publishers =
        targets === undefined
          ? []
          : listDelegations(parseMetadata("targets", targets.text).signed).map(({ role }) => role);
      const known = new Set(["root", "targets", "snapshot", "timestamp", ...publishers]);
      const roles = rows
        .filter(({ role }) => known.has(role))
        .map(({ role, version, text }) => {
          const kind = role === "root" || role === "snapshot" || role === "timestamp" ? role : "targets";
          const { signed } = parseMetadata(kind, text);
          return [role, { version, expiresAtMs: Date.parse(signed.expires) }] as const;
        });
      return {
        roles: Object.fromEntries(roles),
        onlineKeys: keys.all.map(({ publicKeyPem }) => publicKeyPem),
        problem,
      };
    },
  };
  return {
    name: "trust",
    trust,
    vouching: createVouching(),
    routes: createTrustRoutes(trust, store),
    hooks: {},
    start: async () => {
      await renew();
      timer = setInterval(() => void renew(), checkEveryMs);
      timer.unref();
    },
    stop: async () => clearInterval(timer),
  };
}
