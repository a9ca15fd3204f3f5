import { join } from "node:path";
import { rmSync } from "node:fs";
import { signDocument } from "@fairlead/artifacts";
import { isInNetworks } from "@fairlead/egress";
import { Lifecycle, toErrorMessage, type Clock, type Logger, type Service } from "@fairlead/kernel";
import { openStore, type Store } from "@fairlead/store";
import { createAlerts } from "./alerts/alerts.ts";
import { createResolve } from "./alerts/resolve.ts";
import { createAuditLog } from "./audit/audit-log.ts";
import { createRefusalAudit } from "./audit/refusal-audit.ts";
import { saveFile } from "./authority/files.ts";
import { openAuthority, type OpenAuthority } from "./authority/open-authority.ts";
import { createServerRenewal } from "./authority/server-certificate.ts";
import { loadOidcConfig } from "./authority/oidc/config.ts";
import { createOidc } from "./authority/oidc/create-oidc.ts";
import { createDeviceLink, type OpenDeviceLink } from "./broker/device-link.ts";
import { createBrokerRefusals } from "./broker/refusals.ts";
import { createEndpoints } from "./broker/endpoints.ts";
import { createForkWatch, noteStart } from "./broker/plane-starts.ts";
import type { PlaneConfig } from "./config.ts";
import type { AuditLog, DeviceHooks, PlaneContext, PlaneModule } from "./context.ts";
import { createId } from "./create-id.ts";
import { createDecommissions } from "./devices/decommission.ts";
import { createDesiredStates } from "./devices/desired-states.ts";
import { createDeviceIdentity } from "./devices/device-identity.ts";
import { createMirrorAudit } from "./devices/mirror-audit.ts";
import { createRelease } from "./devices/release.ts";
import { createAcceptConfiguration } from "./devices/accept-configuration.ts";
import { createLiveness } from "./devices/liveness.ts";
import { createStreamFeed } from "./events/stream-feed.ts";
import { createApp, type AppOptions } from "./http/app.ts";
import { createDeviceConnections } from "./http/device-connections.ts";
import { toClientAddress } from "./http/client-address.ts";
import { toMetrics } from "./http/metrics.ts";
import type { AnyRoute } from "./http/route.ts";
import { createAlertRoutes } from "./http/routes/alerts.ts";
import { createAuditRoutes } from "./http/routes/audit.ts";
import { createDecommissionRoutes } from "./http/routes/decommission.ts";
import { createDeviceRoutes } from "./http/routes/devices.ts";
import { createEventRoutes } from "./http/routes/events.ts";
import { createOidcRoutes } from "./http/routes/oidc.ts";
import { createPageRoutes } from "./http/routes/page.ts";
import { createAcceptConfigurationRoutes } from "./http/routes/accept-configuration.ts";
import { createPlaneRoutes } from "./http/routes/plane.ts";
import { createSessionRoutes } from "./http/routes/session.ts";
import { createTokenRoutes } from "./http/routes/tokens.ts";
import { createConnectionRefusalLog } from "./http/middleware/refusal-log.ts";
import { createHttpServer } from "./http/server.ts";
import { InferenceTotals } from "./ingest/inference-totals.ts";
import { createConnectionGuard } from "./ingest/connection-guard.ts";
import { createIngest, type Ingest } from "./ingest/ingest.ts";
import { createModules } from "./modules.ts";
import { createTrustModule } from "./trust/trust.ts";
import { createWebhookModule } from "./webhooks/module.ts";
import { createWebhookOutbox } from "./webhooks/outbox.ts";

export interface OpenPlane extends Service {
  readonly store: Store;
  readonly audit: AuditLog;
  readonly authority: OpenAuthority;
  readonly apiUrl: () => string;
  readonly mqttUrl: () => string;
}

export interface PlaneDependencies {
  readonly config: PlaneConfig;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Composition: store → authority → parts → listeners. Opens the store at once; everything else waits for `start`. */
export async function openPlane({ config, clock, logger }: PlaneDependencies): Promise<OpenPlane> {
  const { tenant, dataFolder } = config;
  const store = openStore({
    folder: dataFolder,
    nowMs: clock.nowMs(),
    onHookError: (error) => logger.error("a hook after a commit failed", { error: toErrorMessage(error) }),
  });
  rmSync(join(dataFolder, "ready.json"), { force: true });
  const serverNames = [...new Set(["localhost", "127.0.0.1", "::1", config.hostName, config.publicHost])];
  const authority = await openAuthority({ folder: dataFolder, serverNames, nowMs: clock.nowMs() });
  let { server } = authority;
  const tls = () => ({
    key: server.keyPem,
    cert: server.certificatePem,
    ca: authority.authority.certificatePem,
  });

  const oidc = config.oidcFile === undefined ? undefined : loadOidcConfig(config.oidcFile);
  const verifyToken = oidc === undefined ? undefined : createOidc({ config: oidc, clock, logger });

  const endpoints = createEndpoints(config.publicHost);
  const audit = createAuditLog(clock);
  const refusals = createRefusalAudit({ audit, store, clock, logger });
  const stream = createStreamFeed(clock);
  const newId = (prefix: string) => createId(prefix, clock.nowMs());
  const sign: PlaneContext["sign"] = (document) => signDocument(document, authority.signingKey);

  const modules: PlaneModule[] = [];
  const inference = new InferenceTotals();
  const watches: DeviceHooks[] = [inference.hooks];
  const hooks = (): readonly DeviceHooks[] => [...watches, ...modules.map((module) => module.hooks)];
  const parts: { link?: OpenDeviceLink; ingest?: Ingest } = {};
  const isConnected = (device: string) => parts.link?.isConnected(device) ?? false;
  const publishing: PlaneContext["link"] = {
    isConnected,
    publish: async (topic, payload, options) => await parts.link?.publish(topic, payload, options),
    clearRetained: async (topic) => await parts.link?.clearRetained(topic),
  };

  const desired = createDesiredStates({
    tenant,
    clock,
    logger,
    store,
    link: publishing,
    apiUrl: endpoints.apiUrl,
    sign,
  });
  const outbox = createWebhookOutbox({ clock, createId: newId });
  const alerts = createAlerts({ clock, createId: newId, stream, announcements: outbox });
  const services = { audit, refusals, stream, desired, hooks, isConnected, alerts };
  const ingest = createIngest({ tenant, store, clock, logger, link: publishing, services });
  const connections = createDeviceConnections();
  const identity = createDeviceIdentity({
    ...{ config, store, clock, createId: newId, audit, stream, authority, endpoints, hooks },
    onEnrolled: (tx, device) => desired.bind(tx, device),
    onReplaced: (device, fingerprint) => {
      parts.link?.disconnect(device);
      connections.end(device, fingerprint);
    },
  });
  const guard = createConnectionGuard({ store, clock, logger, services });
  const isInForce: AppOptions["isInForce"] = async (device, fingerprint, fromAddress) => {
    if (await identity.isInForce(device, fingerprint, fromAddress)) return true;
    await guard.noteRefused(device, fingerprint, fromAddress);
    return false;
  };
  const link = createDeviceLink({
    tenant,
    host: config.host,
    port: config.mqttPort,
    tls,
    isInForce,
    isStillInForce: isInForce,
    mayTakeOver: (device, fromAddress) => guard.mayTakeOver(device, fromAddress),
    starts: await noteStart(store),
    clock,
    logger,
    endpoints,
    onMessage: (topic, payload, identity) => ingest.receive(topic, payload, identity),
    onRefusal: createBrokerRefusals(refusals),
    onOpen: () => desired.publishAll(),
  });
  parts.link = link;

  const context: PlaneContext = {
    tenant,
    dataFolder,
    clock,
    fourEyes: config.fourEyes,
    logger,
    store,
    createId: newId,
    sign,
    signingKeys: authority.signingKeys,
    audit,
    refusals,
    stream,
    desired,
    link: publishing,
    announcements: outbox,
    alerts,
  };
  watches.push(createForkWatch(context), createMirrorAudit(context));
  const trust = createTrustModule(context);
  const { commands, ...controllers } = createModules(context, trust, config.models);
  modules.push(...controllers.modules);
  modules.push(createWebhookModule(context, { outbox, config: config.webhooks }));
  const endSessions = (device: string): void => {
    link.disconnect(device);
    connections.end(device);
  };
  const release = createRelease({ ...context, hooks, endSessions });
  const accept = createAcceptConfiguration({ ...context, commands, hooks });
  const decommissions = createDecommissions({ ...context, commands, hooks, endSessions });

  const state = { isReady: false };
  const whyNotReady = async (): Promise<string | null> => {
    if (!state.isReady) return "the plane is starting";
    if (ingest.isStorageFull()) return "the disk of the data folder is full";
    await store.read.settings.get("ready");
    return null;
  };
  const routes: AnyRoute[] = [
    ...createPlaneRoutes({
      ca: authority.authority.certificatePem,
      whyNotReady,
      toMetrics: () => toMetrics({ store, broker: () => link.stats(), ingest: () => ingest.counters, inference }),
      routes: () => routes,
    }),
    ...createPageRoutes(),
    ...identity.routes,
    ...createDeviceRoutes({ store, audit, stream, hooks }),
    ...createDecommissionRoutes({ store, decommissions, release }),
    ...createAcceptConfigurationRoutes({ store, accept }),
    ...createTokenRoutes({ store, clock, audit, createId: newId, fingerprint: authority.fingerprint }),
    ...createOidcRoutes(oidc),
    ...createSessionRoutes({ store, clock, audit }),
    ...createAlertRoutes(store, createResolve(context)),
    ...createAuditRoutes(store),
    ...createEventRoutes(store, stream),
    ...modules.flatMap((module) => module.routes),
  ];
  const toAddress: AppOptions["toAddress"] = (incoming) => toClientAddress(incoming, config.trustedProxies);
  const links = { isInForce, connections, toAddress, requestsPerMinute: config.requestsPerMinute };
  const app = createApp({ ...links, refusals, tenant, store, verifyToken, clock, logger, routes });
  const http = createHttpServer({
    host: config.host,
    port: config.httpPort,
    tls,
    fetch: app.fetch as Parameters<typeof createHttpServer>[0]["fetch"],
    logger,
    isProxy: (address) => isInNetworks(address, config.trustedProxies),
    onRefusedConnection: createConnectionRefusalLog(refusals),
    onListening: (port) => endpoints.setHttpPort(port),
  });
  const serverRenewal = createServerRenewal({
    ...{ ...authority, folder: dataFolder, serverNames, clock, logger, store, audit },
    use: (pair) => {
      server = pair;
      http.renewTls();
      link.renewTls();
    },
  });
  const liveness = createLiveness({
    store,
    clock,
    logger,
    stream,
    audit,
    refusals,
    hooks,
    offlineAfterMs: config.offlineAfterMs,
    keepTelemetryMs: config.keepTelemetryMs,
    endExpired: (nowMs) => [...new Set([...link.disconnectExpired(nowMs), ...connections.endExpired(nowMs)])],
  });
  const closing: Service = { name: "store", start: async () => undefined, stop: () => store.close() };
  const readiness: Service = {
    name: "readiness",
    start: async () => {
      state.isReady = true;
      const ports = { httpPort: portOf(endpoints.apiUrl()), mqttPort: portOf(endpoints.mqttUrl()), pid: process.pid };
      saveFile(join(dataFolder, "ready.json"), `${JSON.stringify(ports)}\n`);
    },
    stop: async () => {
      state.isReady = false;
      rmSync(join(dataFolder, "ready.json"), { force: true });
    },
  };
  const life = new Lifecycle("plane", [
    closing,
    refusals,
    liveness,
    desired,
    http,
    ...modules,
    ingest,
    link,
    serverRenewal,
    readiness,
  ]);
  return {
    name: life.name,
    start: () => life.start(),
    stop: () => life.stop(),
    store,
    audit,
    authority,
    apiUrl: endpoints.apiUrl,
    mqttUrl: endpoints.mqttUrl,
  };
}

function portOf(url: string): number {
  return Number(/:(\d+)$/u.exec(url)?.[1]);
}
