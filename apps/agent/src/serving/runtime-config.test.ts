import { describe, expect, it } from "vitest";
import { runtimesSchema, toSidecarConfigs } from "./runtime-config.ts";

const triton = {
  kind: "open-inference",
  command: ["/opt/tritonserver/bin/tritonserver", "--model-repository={repository}", "--model-control-mode=explicit"],
  url: "http://127.0.0.1:8000",
};

describe("the configuration of runtimes", () => {
  it("needs a command and an address, and puts everything below the data folder", () => {
    const runtimes = runtimesSchema.parse({ triton });
    expect(toSidecarConfigs(runtimes, "/data")).toEqual([
      {
        name: "triton",
        command: triton.command,
        url: triton.url,
        folder: "/data/runtimes/triton",
        repository: "/data/runtimes/triton/repository",
        control: "explicit",
        tensors: "auto",
        providers: ["cpu"],
        environment: {},
        readyTimeoutMs: 30_000,
        memoryLimitBytes: null,
      },
    ]);
    const elsewhere = runtimesSchema.parse({
      a: { ...triton, repository: "models" },
      b: { ...triton, repository: "/srv/m" },
    });
    expect(toSidecarConfigs(elsewhere, "/data").map(({ repository }) => repository)).toEqual([
      "/data/models",
      "/srv/m",
    ]);
  });

  it.each([
    ["another machine's address", { triton: { ...triton, url: "http://10.0.0.4:8000" } }],
    ["a name that is looked up", { triton: { ...triton, url: "http://localhost:8000" } }],
    ["a relative socket", { triton: { ...triton, url: "unix:socket" } }],
    ["a command for a shell", { triton: { ...triton, command: "tritonserver | tee log" } }],
    ["an unknown kind", { triton: { ...triton, kind: "grpc" } }],
    ["an unknown key", { triton: { ...triton, shell: true } }],
    ["the name of the own runtime", { onnxruntime: triton }],
    ["a name with a path in it", { "../up": triton }],
    ["one slot for two runtimes", { a: { ...triton, slots: ["lane"] }, b: { ...triton, slots: ["lane"] } }],
  ])("refuses %s", (_, runtimes) => {
    expect(runtimesSchema.safeParse(runtimes).success).toBe(false);
  });
});
