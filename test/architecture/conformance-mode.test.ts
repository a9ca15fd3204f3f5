import { globSync, readFileSync } from "node:fs";
import { expect, it } from "vitest";

const root = new URL("../../", import.meta.url).pathname;

it("no application can open the broker's conformance mode, which knows neither certificates nor devices", () => {
  const sources = globSync(["apps/*/src/**/*.ts", "packages/*/src/**/*.ts"], { cwd: root });
  const naming = sources.filter((path) =>
    /conformance-broker|bus\/conformance/u.test(readFileSync(root + path, "utf8")),
  );
  // Its own door and its own tests name it; that they are found shows that the search works.
  expect(naming.toSorted()).toEqual(naming.filter((path) => path.startsWith("packages/bus/src/broker/")).toSorted());
  expect(naming.length).toBeGreaterThan(0);
});
