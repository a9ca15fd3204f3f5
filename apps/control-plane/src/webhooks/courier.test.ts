import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Egress } from "@fairlead/egress";
import { openStore } from "@fairlead/store";
import { expect, it, onTestFinished } from "vitest";
import { createCourier } from "./courier.ts";
import type { Outcome } from "./decide-delivery.ts";
import { openSecretSeal } from "./secret-seal.ts";
import { createWebhookSecret } from "./signature.ts";

it("sends a message once although what it came to cannot be written, and writes that as soon as it can be", async () => {
  const folder = mkdtempSync(join(tmpdir(), "courier-"));
  const store = openStore({ folder, nowMs: 0 });
  onTestFinished(async () => {
    await store.close();
    rmSync(folder, { recursive: true });
  });
  const seal = openSecretSeal(folder);
  await store.transaction(async (tx) => {
    await tx.webhooks.add({
      ...{ webhookId: "whk-1", url: "http://receiver.example/in", description: "", events: ["alert.firing"] },
      ...{ state: "active", reason: null, alertId: null, sealedSecret: seal.seal(createWebhookSecret(), "whk-1") },
      ...{ createdAtMs: 0, createdBy: "x", lastDeliveredAtMs: null },
    });
    await tx.webhookDeliveries.add({
      ...{ deliveryId: "whd-1", webhookId: "whk-1", type: "alert.firing", subject: "a", body: "{}", state: "pending" },
      ...{ attempts: 0, createdAtMs: 0, nextAttemptAtMs: 0, lastAttemptAtMs: null, endedAtMs: null },
      ...{ status: null, reason: null },
    });
  });
  let nowMs = 1;
  let sent = 0;
  let tries = 0;
  let isDiskFull = true;
  const written: Outcome[] = [];
  const courier = createCourier({
    ...{ store, seal, clock: { nowMs: () => nowMs, monotonicMs: () => nowMs } },
    logger: { debug() {}, info() {}, warn() {}, error() {}, child: (): never => undefined as never },
    egress: {
      send: () => {
        sent += 1;
        return Promise.resolve({ status: 204 });
      },
    } as unknown as Egress,
    record: async ({ deliveryId }, outcome) => {
      tries += 1;
      if (isDiskFull) throw new Error("the disk of the data folder is full");
      await store.transaction((tx) =>
        tx.webhookDeliveries.update(deliveryId, { state: "delivered", endedAtMs: nowMs }),
      );
      written.push(outcome);
    },
  });
  courier.start();
  await expect.poll(() => tries).toBe(1);
  for (let round = 0; round < 20; round += 1) {
    courier.wake();
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  expect({ sent, tries }).toEqual({ sent: 1, tries: 1 });
  nowMs += 1_000;
  courier.wake();
  await expect.poll(() => tries).toBe(2);
  isDiskFull = false;
  nowMs += 2_000;
  courier.wake();
  await expect.poll(() => written).toEqual([{ kind: "taken", status: 204 }]);
  await courier.stop();
  expect(sent).toBe(1);
});
