import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { ServerConfigFile } from "./server-config-file.ts";

const folder = mkdtempSync(join(tmpdir(), "config-file-"));
afterAll(() => rmSync(folder, { recursive: true }));

const model = { name: "m", version: 1, path: "/models/m/1/model.onnx", providers: ["gpu"], threads: 2 };

describe("the list of a server's models", () => {
  it("names each by its folder and its device, and gives only the processor's plugin its threads", () => {
    const file = new ServerConfigFile(join(folder, "config.json"));
    const read = (): unknown => JSON.parse(readFileSync(file.path, "utf8"));
    file.clear();
    expect(read()).toEqual({ model_config_list: [] });
    file.add(model);
    file.add({ ...model, name: "n", providers: ["qnn"] });
    const rest = { base_path: "/models/m", model_version_policy: { specific: { versions: [1] } } };
    expect(read()).toEqual({
      model_config_list: [
        { config: { name: "m", ...rest, target_device: "GPU" } },
        { config: { name: "n", ...rest, target_device: "AUTO" } },
      ],
    });
    file.remove("m");
    file.remove("m");
    expect(JSON.stringify(read())).not.toContain('"m"');
  });

  it("is gone where it cannot be emptied, so that no server starts with what nobody looked at again", () => {
    const file = new ServerConfigFile(join(folder, "other.json"));
    file.add(model);
    mkdirSync(join(folder, "other.json.staged", "in-the-way"), { recursive: true });
    expect(() => file.clear()).not.toThrow();
    expect(existsSync(file.path)).toBe(false);
    expect(() => file.add(model)).toThrow(/other\.json\.staged/u);
  });
});
