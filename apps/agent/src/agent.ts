import { createTrustRoots, documentTypes } from "@fairlead/artifacts";
import { createMqttBus } from "@fairlead/bus";
import { detectProfile, loadProfiles, openHardware } from "@fairlead/hardware";
import { Lifecycle, type Logger, type Service } from "@fairlead/kernel";
import { limits, type EventData, type Reported } from "@fairlead/protocol";
import { randomBytes } from "node:crypto";
import { Agent as HttpsAgent } from "node:https";
import { cpus, totalmem } from "node:os";
import { join } from "node:path";
import { readFingerprint } from "./bench/fingerprint.ts";
import { measureBuild, readServer, toPlace } from "./bench/measure-build.ts";
import { MeasureRequests } from "./bench/measure-requests.ts";
import { FolderJob } from "./sources/folder-job.ts";
import { ServingEnds, toServingEnd } from "./sources/serving-ends.ts";
import { TopicJob } from "./sources/topic-job.ts";
import { readFirmware } from "./trust/firmware.ts";
import { openTrust } from "./trust/open-trust.ts";
import { createCommandHandlers } from "./commands/command-handlers.ts";
import { Inbox } from "./commands/inbox.ts";
import { inboxSchema } from "./commands/inbox-record.ts";
import type { AgentConfig } from "./config.ts";
import { Credentials } from "./enrol/credentials.ts";
import { toEnrolledKey } from "./enrol/enrolled-key.ts";
import { keepCertificate } from "./enrol/keep-certificate.ts";
import type { Identity } from "./enrol/identity.ts";
import { createIntegrityService } from "./integrity/integrity-service.ts";
import { listAgentFiles, listConfigurationFiles } from "./integrity/agent-files.ts";
import { createRevisionCounter, createSessionCounter, revisionSchema, sessionSchema } from "./link/counters.ts";
import { createPlaneStarts, planeStartsSchema } from "./link/plane-starts.ts";
import { PlaneLink } from "./link/plane-link.ts";
import { toReported } from "./link/reported.ts";
import { keepRevisionInOutbox } from "./link/revision-in-outbox.ts";
import { createTrustedTime, raiseToCertificate } from "./link/trusted-time.ts";
import { ArtifactKeeper } from "./models/artifact-keeper.ts";
import { openArtifactStore, readFreeBytes } from "./models/artifact-store.ts";
import { choicesSchema } from "./models/choice/choice-record.ts";
import { Chooser } from "./models/choice/chooser.ts";
import { isToSwitch } from "./models/choice/switch-build.ts";
import { createDesired, desiredRecordSchema } from "./models/desired.ts";
import { listProviders } from "./models/load-target.ts";
import { Mirrors } from "./models/mirrors.ts";
import { readMirrors } from "./models/mirror-config.ts";
import { Slots } from "./models/slots.ts";
import { createForwarder } from "./outbox/forwarder.ts";
import { toEventBody } from "./outbox/outbox-message.ts";
import { openOutbox } from "./outbox/outbox.ts";
import type { DataPaths } from "./paths.ts";
import { ownFolder, profilesFolder, readAgentVersion, servingEntry, toArch } from "./places.ts";
import { openSavedState } from "./saved-state.ts";
import { close } from "./closing-service.ts";
import { toDeviceOffers } from "./serving/device-offers.ts";
import { toMemoryLimitBytes } from "./serving/memory-limit.ts";
import { openServing } from "./serving/open-serving.ts";
import { systemClock as clock } from "./system-clock.ts";
import { createTelemetryService } from "./telemetry/telemetry-service.ts";
import { HeatWatch } from "./telemetry/heat-watch.ts";

export interface AgentOptions {
  readonly paths: DataPaths;
  readonly config: AgentConfig;
  readonly identity: Identity;
  readonly logger: Logger;
  /** Puts the order to become empty on the disk, and has the agent end for it. */
  readonly beginWipe: () => void;
}

/** Wires everything that a running device needs: adapters → services → one lifecycle. No decision is made here. */
export async function openAgent({ paths, config, identity, logger, beginWipe }: AgentOptions): Promise<Service> {
  const { tenant, device } = identity;
  const random = () => Math.random();
  const inState = (name: string) => join(paths.state, `${name}.json`);
  const root = config.hardwareRoot;
  const profiles = await loadProfiles(profilesFolder);
  const profileName = config.profile ?? identity.profile;
  const profile =
    profiles.find(({ metadata }) => metadata.name === profileName) ?? (await detectProfile(profiles, { root }));
  const probe = await openHardware({ profile, root, diskPath: paths.root });

  const outbox = openOutbox({
    path: paths.outbox,
    clock,
    createEpoch: () => randomBytes(12).toString("hex"),
    source: `/devices/${device}`,
    capacityBytes: config.outbox.capacityBytes,
    logger,
  });
  const append: typeof outbox.append = (kind, body) => {
    const result = outbox.append(kind, body);
    if (result.kind === "refused")
      logger.warn("not stored in the outbox", { kind, code: result.code, reason: result.reason });
    return result;
  };
  const emit = (data: EventData): void => {
    const stamp = { epoch: outbox.epoch, seq: outbox.lastSeq + 1, tsMs: clock.nowMs(), uptimeMs: clock.monotonicMs() };
    append("event", toEventBody(data, stamp, `/devices/${device}`));
  };

  const time = createTrustedTime(clock);
  raiseToCertificate(time, { clock, certificatePem: identity.certificatePem, logger });
  const roots = createTrustRoots(
    [...new Set(identity.signingKeys)].map((publicKeyPem) => ({ publicKeyPem, types: [...documentTypes] })),
  );
  const arch = toArch();
  const offers = toDeviceOffers(config);
  const capabilities = {
    arch,
    profile: profile.metadata.name,
    executionProviders: listProviders(offers).slice(0, 8),
    formats: ["onnx" as const],
  };
  const memoryBytes = totalmem();
  const credentials = new Credentials(identity);
  const { ca } = credentials;
  const shown = credentials.isThere ? { key: credentials.key, cert: credentials.cert } : {};
  const httpsAgent = new HttpsAgent({ ca, ...shown, maxSockets: 4 });
  credentials.onReplaced((renewed) => void Object.assign(httpsAgent.options, renewed));
  const mirrors = new Mirrors({
    ...{ configured: await readMirrors(config.mirrors), desired: () => desired.artifactUrls },
    ...{ apiUrl: identity.apiUrl, agent: httpsAgent, emit, clock, random, logger },
  });
  const keeper = new ArtifactKeeper({
    store: openArtifactStore(paths),
    mirrors,
    emit,
    logger,
  });

  const { threads, deadlineMs, providers, isolated } = config.inference;
  const memoryLimitBytes = toMemoryLimitBytes(config.inference.memoryLimitBytes, {
    totalBytes: memoryBytes,
    constrainedBytes: process.constrainedMemory(),
  });
  const bounds = { models: config.models, isolated, memoryLimitBytes };
  const ends = new ServingEnds();
  const serving = openServing({
    ...{ config, paths, bounds, emit, clock, logger, random },
    onReady: () => {
      heat.onServingReady();
      slots.onServingReady();
    },
    onEnd: (exit) => {
      const views = slots.all.map(({ view }) => view);
      ends.note(toServingEnd(exit, views));
    },
    onChange: () => link.report(),
    slots: () => slots,
  });
  const heatLimits = { ...profile.limits, ...(config.heat.warnC === null ? {} : { warnC: config.heat.warnC }) };
  const heat = new HeatWatch({ limits: heatLimits, serving, emit, logger });
  const { benchmarkMs: durationMs, ...choicePolicy } = config.choice;
  const bench = { threads, deadlineMs, durationMs, profile };
  const measuring = {
    ...{ ...bench, offers, bounds, serving, entry: servingEntry, clock, logger },
    ...{ folder: join(paths.run, "bench"), hardwareRoot: root, diskPath: paths.root, cores: cpus().length },
    toPath: (digest: string) => keeper.toPath(digest),
    createId: () => randomBytes(8).toString("hex"),
  };
  const chooser = new Chooser({
    saved: openSavedState({ path: inState("choices"), schema: choicesSchema, logger }),
    fingerprint: await readFingerprint({
      ...{ ...bench, root, ...bounds, providers, runtimes: config.runtimes },
      vulkanDriverFiles: process.env["VK_DRIVER_FILES"] ?? process.env["VK_ICD_FILENAMES"],
    }),
    toPlace: (slot, build) => toPlace(slot, build, offers),
    readServer: (slot, build) => readServer(slot, build, { offers, root: paths.root }),
    policy: choicePolicy,
    fetch: (artifact, signal) => keeper.fetch(artifact, { signal, onProgress: () => undefined }),
    freeBytes: () => readFreeBytes(paths.downloads),
    judgeTime: (releaseId) => desired.judgeTime(releaseId),
    measure: (request, build, signal) => measureBuild(measuring, { request, build }, signal),
    onChange: () => link.report(),
    onNewChoice: (slot, { wish, candidates }) => {
      const engine = slots.get(slot);
      if (engine === undefined || !isToSwitch(engine.record, wish)) return;
      logger.info("another build is the better one now", { slot });
      engine.apply({ kind: "choosing", job: wish.job, candidates });
    },
    clock,
    random,
    logger,
  });
  const slots = new Slots({
    folder: paths.slots,
    serving,
    keeper,
    chooser,
    capabilities: { ...capabilities, memoryBytes },
    offers,
    judgeTime: (releaseId) => desired.judgeTime(releaseId),
    held: () => freshness.held,
    emit,
    onChange: () => link.report(),
    clock,
    random,
    logger,
    threads,
    deadlineMs,
    scheduling: config.slots,
  });

  let refusal: Reported["refusal"] = null;
  const onRefused =
    (what: "desired-state" | "command") => (refused: { readonly code: string; readonly reason: string }) => {
      const code = refused.code.slice(0, 64);
      const reason = refused.reason.slice(0, 500);
      const isNew = refusal?.code !== code || refusal.reason !== reason;
      refusal = { code, reason, tsMs: Math.max(1_000_000_000_000, clock.nowMs()) };
      logger.warn("refused", { what, code, reason });
      // A retained document comes again with each connection; one event says it.
      if (isNew) emit({ kind: "refused", what, code, reason });
      link.report();
    };
  const nowMs = () => time.nowMs();
  const { admit, judgeWayBack, freshness, policyFacts } = await openTrust({
    ...{ folder: paths.trust, trustRoot: identity.trustRoot, apiUrl: identity.apiUrl, config: config.trust },
    ...{ agent: httpsAgent, mirrors, nowMs, random, emit, logger },
    onChange: () => slots.onHeld(),
  });
  const agentVersion = readAgentVersion();
  const addressee = { roots, tenant, device, enrolledKey: toEnrolledKey(identity.key), time };
  const desired = createDesired({
    saved: openSavedState({ path: inState("desired"), schema: desiredRecordSchema, logger }),
    ...addressee,
    self: {
      ...{ profile: profile.metadata.name, fleet: config.fleet, agentVersion },
      firmware: await readFirmware(identity.inventory),
    },
    admit,
    logger,
    onAccepted: (state) => {
      slots.setWishes(state);
      link.report();
    },
    onRefused: onRefused("desired-state"),
  });

  const url = new URL(identity.mqttUrl);
  const bus = createMqttBus({
    host: url.hostname.replace(/^\[|\]$/gu, ""),
    port: Number(url.port === "" ? 8_883 : url.port),
    tls: credentials,
    mayConnect: () => credentials.isThere,
    backoff: { baseMs: 500, maxMs: 30_000 },
    logger,
  });
  const session = createSessionCounter(
    openSavedState({ path: inState("session"), schema: sessionSchema, logger }),
    logger,
  );
  const revisions = createRevisionCounter({
    saved: keepRevisionInOutbox(outbox, openSavedState({ path: inState("revision"), schema: revisionSchema, logger })),
    epoch: outbox.epoch,
    ...{ nowMs: () => clock.nowMs(), logger },
  });
  const instance = randomBytes(12).toString("hex");
  let skewed = false;
  const link = new PlaneLink({
    bus,
    tenant,
    device,
    session,
    time,
    clock,
    logger,
    toBirth: (number) => ({
      v: 1,
      tenant,
      device,
      session: number,
      instance,
      tsMs: Math.max(1_000_000_000_000, clock.nowMs()),
      agentVersion,
      ...capabilities,
      memoryTotalBytes: memoryBytes,
      inventory: { ...identity.inventory, ...policyFacts },
      epoch: outbox.epoch,
      lastSeq: outbox.lastSeq,
      generation: desired.generation,
      commandGeneration: inbox.generation,
    }),
    toReported: () =>
      toReported({
        epoch: outbox.epoch,
        revision: revisions.next(),
        tsMs: Math.max(1_000_000_000_000, clock.nowMs()),
        generation: desired.generation,
        refusal,
        views: slots.views,
        address: serving.address,
      }),
    onDesired: (payload) => desired.receive(payload),
    onCommand: (commandId, payload) => inbox.receive(commandId, payload),
    onStarts: createPlaneStarts({
      saved: openSavedState({ path: inState("plane"), schema: planeStartsSchema, logger }),
      ...{ emit, logger },
    }),
    onSkew: (skewMs) => {
      const now = Math.abs(skewMs) > limits.clockSkewMs;
      if (now && !skewed) emit({ kind: "clock-skew", skewMs });
      skewed = now;
    },
  });
  const forwarder = createForwarder({ connection: link.connection, outbox, tenant, device, random, logger });

  const integrity = createIntegrityService({
    clock,
    logger,
    files: {
      agent: () => listAgentFiles({ folder: ownFolder, prefix: "agent" }),
      configuration: async () => listConfigurationFiles(paths),
      models: () =>
        slots.all.flatMap(({ record: { slot, active } }) =>
          active === null
            ? []
            : [{ slot, path: keeper.toPath(active.artifact.digest), digest: active.artifact.digest }],
        ),
    },
    outbox: { append },
    stateFile: inState("chain"),
    emit,
    onModelMismatch: (slot, digest) => slots.distrust(slot, digest),
    onModelRestored: (slot, digest) => slots.trustAgain(slot, digest),
    ...config.integrity,
  });
  const inbox = new Inbox({
    saved: openSavedState({ path: inState("commands"), schema: inboxSchema, logger }),
    ...addressee,
    handlers: createCommandHandlers({ slots, serving, keeper, judgeWayBack, integrity, beginWipe }),
    reply: (body) => void append("reply", body),
    onRefused: onRefused("command"),
    logger,
  });
  const telemetry = createTelemetryService({
    clock,
    logger,
    windowMs: config.telemetry.windowMs,
    cores: cpus().length,
    serving: { collect: () => serving.request({ kind: "collect" }, 10_000) },
    hardware: probe,
    outbox: { append },
    trial: slots,
    onWindow: (window) => heat.onWindow(window),
  });
  desired.restore();
  const serves = (slot: string) => slots.get(slot)?.view.served ?? null;
  const source = { address: () => serving.address, serves, ends, random, logger };
  const jobs: Service[] = [
    ...config.batch.map((job) => new FolderJob({ ...job, ...source })),
    ...config.pipelines.map((pipeline) => new TopicJob({ ...pipeline, ...source })),
  ];
  const renewal = keepCertificate({
    ...{ identity, credentials, paths, tpm: config.tpm, nowMs, random, logger },
    onConnect: (listener) => link.connection.onConnect(listener),
  });
  return new Lifecycle("agent", [
    close("outbox", () => outbox.close()),
    close("hardware", () => probe.close()),
    close("downloads", () => httpsAgent.destroy()),
    close("chooser", () => chooser.close()),
    serving,
    slots,
    freshness,
    link,
    renewal,
    forwarder,
    telemetry,
    integrity,
    inbox,
    new MeasureRequests({
      folder: paths.measure,
      isBusy: (slot) => (slots.get(slot)?.record.candidate ?? null) !== null,
      measureAgain: (slot) => chooser.measureAgain(slot),
      logger,
    }),
    ...jobs,
  ]);
}
