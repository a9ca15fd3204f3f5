import { readFileSync } from "node:fs";
import { buildOnnxModel, endlessLoopModel } from "@fairlead/inference/testing";
import { readChildren } from "./child-of.ts";

/** The process in which an agent measures a build now. */
export function findBench(agentPid: number): number | undefined {
  return readChildren(agentPid).find((pid) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("/bench/inflight");
    } catch {
      return false;
    }
  });
}

const value = (name: string) => ({ name, type: "float32", shape: [4] }) as const;

/** Answers what it is given. The file is smaller than every loop's, so it is measured first. */
export const quickModel = (): Uint8Array =>
  buildOnnxModel({
    graph: { nodes: [{ op: "Identity", inputs: ["x"], outputs: ["y"] }], inputs: [value("x")], outputs: [value("y")] },
  });

/** Takes milliseconds where the other takes microseconds. */
export const slowModel = (): Uint8Array => endlessLoopModel({ trips: 20_000n });
