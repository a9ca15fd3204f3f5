import { CodedError, silentLogger } from "@fairlead/kernel";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { measureNow } from "./measure-now.ts";
import { MeasureRequests, requestMeasurement } from "./measure-requests.ts";

const dir = mkdtempSync(join(tmpdir(), "measure-requests-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

it("hears each request once, leaves those of a busy slot, and clears away what names no slot", () => {
  const folder = join(dir, "measure");
  const heard: string[] = [];
  const busy = new Set(["reader"]);
  const requests = new MeasureRequests({
    folder,
    isBusy: (slot) => busy.has(slot),
    measureAgain: (slot) => heard.push(slot) > 0,
    logger: silentLogger,
  });
  requests.take();
  expect(existsSync(folder)).toBe(false);
  requestMeasurement(folder, "reader");
  requestMeasurement(folder, "spare");
  writeFileSync(join(folder, "No Slot!"), "");
  mkdirSync(join(folder, "folder", "in", "it"), { recursive: true });
  expect(() => requestMeasurement(folder, "../../out")).toThrow(/lower-case letters/u);
  requests.take();
  expect(heard.toSorted()).toEqual(["folder", "spare"]);
  expect(readdirSync(folder)).toEqual(["reader"]);
  busy.clear();
  requests.take();
  requests.take();
  expect(heard.filter((slot) => slot === "reader")).toHaveLength(1);
  expect(readdirSync(folder)).toEqual([]);
});

it("asks for nothing where nothing was measured before", async () => {
  await expect(measureNow(dir, undefined)).rejects.toMatchObject({ code: "not_measured" });
  await expect(measureNow(dir, "reader")).rejects.toThrow(CodedError);
});
