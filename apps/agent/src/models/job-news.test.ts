import { describe, expect, it } from "vitest";
import { JobNews } from "./job-news.ts";

const job = { rolloutId: null, attempt: 1, releaseId: "rel-1" };
const play = (news: JobNews, ...steps: readonly (readonly [string, string | null, number?])[]): boolean[] =>
  steps.map(([state, code, attempt = 1]) => news.isNews({ ...job, attempt, state, code } as never));

describe("the steps of a job", () => {
  it("are told once while a fetch waits for the same thing, however often it is tried", () => {
    const news = new JobNews();
    const again = [
      ["downloading", null],
      ["waiting", "disk_full"],
    ] as const;
    expect(play(news, ...again, ...again, ...again)).toEqual([true, true, false, false, false, false]);
    expect(play(news, ["downloading", null], ["waiting", "download_failed"])).toEqual([false, true]);
    expect(play(news, ["downloading", null], ["verified", null], ["downloading", null])).toEqual([false, true, true]);
  });

  it("are told anew of another attempt", () => {
    const news = new JobNews();
    const first = [
      ["downloading", null],
      ["waiting", "disk_full"],
    ] as const;
    expect(play(news, ...first, ["downloading", null, 2], ["waiting", "disk_full", 2])).toEqual([
      true,
      true,
      true,
      true,
    ]);
  });
});
