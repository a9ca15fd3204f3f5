import { createSnapshot, signMetadata, toMetadataText } from "@fairlead/artifacts/tuf";
import { describe, expect, it } from "vitest";
import { listUnreachable } from "./prune.ts";

const toSnapshot = async (version: number, roles: Record<string, number>): Promise<string> => {
  const files = Object.entries(roles).map(([role, number]) => ({ role, version: number, text: "{}" }));
  return toMetadataText(await signMetadata(createSnapshot(files, { version, expiresAtMs: 2e12 }), []));
};
const toNames = (...names: string[]) =>
  names.map((name) => {
    const [version = "", role = ""] = name.split(".");
    return { name, role: name === "timestamp.json" ? "timestamp" : role, version: Number(version) };
  });

describe("documents that nobody can be led to", () => {
  it("are older ones than the kept snapshots name; roots, the timestamp and former publishers stay", async () => {
    const texts = [
      await toSnapshot(8, { targets: 3, vision: 7, former: 2 }),
      await toSnapshot(7, { targets: 3, vision: 6, former: 2 }),
    ];
    const kept = ["1.root.json", "2.root.json", "timestamp.json", "7.snapshot.json", "8.snapshot.json"];
    const named = ["3.targets.json", "6.vision.json", "7.vision.json", "2.former.json"];
    const gone = ["6.snapshot.json", "2.targets.json", "5.vision.json", "1.former.json"];
    expect(listUnreachable(toNames(...kept, ...named, ...gone), texts).toSorted()).toEqual(gone.toSorted());
  });

  it("are none when there is nothing but the present", async () => {
    const text = await toSnapshot(1, { targets: 1 });
    expect(listUnreachable(toNames("1.root.json", "1.targets.json", "1.snapshot.json"), [text])).toEqual([]);
  });
});
