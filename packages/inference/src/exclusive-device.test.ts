import { expect, it } from "vitest";
import { ExclusiveDevice } from "./exclusive-device.ts";

it("has one holder at a time, in the order of asking, however often it is given back", async () => {
  const device = new ExclusiveDevice();
  const order: string[] = [];
  let holders = 0;
  const hold = async (name: string) => {
    const giveBack = await device.acquire();
    holders += 1;
    expect(holders).toBe(1);
    order.push(name);
    await Promise.resolve();
    holders -= 1;
    giveBack();
    giveBack();
  };
  await Promise.all(["a", "b", "c", "d"].map(hold));
  expect(order).toEqual(["a", "b", "c", "d"]);
});
