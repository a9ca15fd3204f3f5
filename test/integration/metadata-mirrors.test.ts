import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { AuditEntry } from "@fairlead/protocol";
import { Agent, request } from "undici";
import { describe, expect, it } from "vitest";
import { createEnrolmentToken, TestDevice } from "../support/device.ts";
import { eventually } from "../support/eventually.ts";
import { TestMirror, toFileHandler } from "../support/mirror.ts";
import { TestPlane } from "../support/plane.ts";
import { publishDigitReader } from "../support/publish.ts";
import { AgentHarness, device as miniDevice, toSlot } from "./agent-harness.ts";
import { MiniPlane } from "./mini-plane.ts";

type Documents = ReadonlyMap<string, string>;
const dayMs = 86_400_000;

/** Every document that the plane serves now, as a mirror copies them. */
async function copyDocuments(plane: TestPlane): Promise<Documents> {
  const dispatcher = new Agent({ connect: { ca: readFileSync(join(plane.dir, "data", "ca.pem"), "utf8") } });
  const documents = new Map<string, string>();
  const copy = async (name: string): Promise<{ meta: Record<string, { version: number }> } | undefined> => {
    const headers = { authorization: `Bearer ${plane.token}` };
    const answer = await request(`${plane.url}/api/v1/trust/metadata/${name}`, { headers, dispatcher });
    const text = await answer.body.text();
    if (answer.statusCode !== 200) return undefined;
    documents.set(name, text);
    return (JSON.parse(text) as { signed: { meta: Record<string, { version: number }> } }).signed;
  };
  for (let version = 1; (await copy(`${version}.root.json`)) !== undefined; version += 1);
  const timestamp = await copy("timestamp.json");
  const snapshot = await copy(`${timestamp?.meta["snapshot.json"]?.version}.snapshot.json`);
  for (const [name, { version }] of Object.entries(snapshot?.meta ?? {})) await copy(`${version}.${name}`);
  await dispatcher.close();
  return documents;
}

const toVersion = (text: string | undefined): number =>
  (JSON.parse(text ?? "{}") as { signed?: { version?: number } }).signed?.version ?? 0;

describe("an agent that asks mirrors what is newest while its plane is away", () => {
  it("A1 refuses the one that offers what was left behind, names it, and believes the next", async () => {
    const dir = mkdtempSync(join(tmpdir(), "fairlead-metadata-mirrors-"));
    // Goes last, after the processes that write into it.
    await using _folder = { [Symbol.asyncDispose]: async () => rmSync(dir, { recursive: true, force: true }) };
    await using plane = await new TestPlane({ dir: join(dir, "plane") }).start();
    await publishDigitReader(plane, "1.0.0");
    const old = await copyDocuments(plane);
    await publishDigitReader(plane, "1.1.0");
    const current = await copyDocuments(plane);
    expect(toVersion(current.get("timestamp.json"))).toBeGreaterThan(toVersion(old.get("timestamp.json")));

    await using back = await TestMirror.start(
      dir,
      "back",
      toFileHandler("/metadata/", (name) => old.get(name)),
    );
    await using good = await TestMirror.start(
      dir,
      "good",
      toFileHandler("/metadata/", (name) => current.get(name)),
    );
    await using device = new TestDevice({ name: "cam-1", dir: join(dir, "cam-1"), labels: {} });
    await device.enrol(plane, await createEnrolmentToken(plane, 1));
    mkdirSync(device.dataDir, { recursive: true });
    const mirrors = [back.toConfig(), good.toConfig()];
    writeFileSync(join(device.dataDir, "config.yaml"), JSON.stringify({ mirrors, trust: { refreshMs: 1_000 } }));
    device.run();
    const readKnown = (): number => {
      const known = readFileSync(join(device.dataDir, "state", "trust", "timestamp.json"), "utf8");
      return toVersion(known);
    };
    const newest = toVersion(current.get("timestamp.json"));
    await eventually("it has seen what is newest", () => readKnown() === newest);
    expect([back, good].map(({ requests }) => requests.length)).toEqual([0, 0]);

    await plane.process.kill("SIGKILL");
    await eventually("both are asked", () => back.requests.length > 0 && good.requests.length > 0);
    for (const { showedCertificate, authorization } of [...back.requests, ...good.requests])
      expect({ showedCertificate, authorization }).toEqual({ showedCertificate: false, authorization: undefined });
    expect(readKnown()).toBe(newest);
    await plane.start();
    const entries = await eventually("the plane hears of it when it is back", async () => {
      const { items } = await plane.get<{ items: AuditEntry[] }>("/api/v1/audit?subject=cam-1&limit=200");
      const found = items.filter(({ action }) => action === "device.mirror-set-aside");
      return found.length > 0 && found;
    });
    expect(entries).toMatchObject([
      { actor: "device:cam-1", details: { mirror: back.origin, code: "metadata_rollback" } },
    ]);
  }, 120_000);

  it("A2 refuses one that stands still and one that never ends, names them, and follows by the word of the next", async () => {
    await using plane = await MiniPlane.start();
    await using agent = new AgentHarness(plane);
    await agent.enrol();
    const frozen = new Map<string, string>();
    const live = new Map<string, string>();
    const endless = await TestMirror.start(agent.folder, "endless", ({ url }, response) => {
      // Artifacts it does not have: that is no fault, so it is asked for metadata in its turn.
      if (url?.startsWith("/metadata/") !== true) return void response.writeHead(404).end();
      response.writeHead(200);
      const more = (): void =>
        void (response.destroyed || response.write(Buffer.alloc(65_536, 32), () => setImmediate(more)));
      more();
    });
    await using _endless = endless;
    await using still = await TestMirror.start(
      agent.folder,
      "still",
      toFileHandler("/metadata/", (name) => frozen.get(name)),
    );
    await using good = await TestMirror.start(
      agent.folder,
      "good",
      toFileHandler("/metadata/", (name) => live.get(name)),
    );
    const mirrors = [endless, still, good].map((mirror) => mirror.toConfig());
    writeFileSync(join(agent.data, "config.yaml"), JSON.stringify({ mirrors }));
    agent.run();
    plane.trust.timestampLifeMs = 20_000;
    await plane.desire(miniDevice, [toSlot(plane, "1.0.0")]);
    await agent.waitForVersion("1.0.0");
    for (const [name, text] of await plane.trust.serve()) frozen.set(name, text);
    const endsAtMs = Date.parse(
      (JSON.parse(frozen.get("timestamp.json") ?? "") as { signed: { expires: string } }).signed.expires,
    );

    plane.isTrustDown = true;
    await agent.waitFor("what the one that stands still says has ended", () => Date.now() > endsAtMs, 40_000);
    plane.trust.timestampLifeMs = dayMs;
    const slot = toSlot(plane, "1.1.0");
    for (const [name, text] of await plane.trust.serve()) live.set(name, text);
    await plane.desire(miniDevice, [slot]);
    await agent.waitForVersion("1.1.0");
    expect([endless, still, good].map(({ requests }) => requests.length > 0)).toEqual([true, true, true]);
    const blamed = () =>
      plane.events.flatMap((event) => (event.kind === "mirror-set-aside" ? [[event.mirror, event.code] as const] : []));
    const ofMetadata = await agent.waitFor("it says whom it does not believe", () => {
      const codes = blamed().filter(([, code]) => code.startsWith("metadata_"));
      return codes.length >= 2 && codes;
    });
    expect(ofMetadata).toEqual([
      [endless.origin, "metadata_refused"],
      [still.origin, "metadata_expired"],
    ]);
  }, 120_000);
});
