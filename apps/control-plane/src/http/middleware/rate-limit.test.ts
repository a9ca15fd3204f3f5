import { describe, expect, it } from "vitest";
import { createRateLimit } from "./rate-limit.ts";

describe("A58 the limit of requests per address", () => {
  const open = () => {
    const time = { ms: 0 };
    const clock = { nowMs: () => 0, monotonicMs: () => time.ms };
    return { time, limit: createRateLimit(clock, { burst: 2, perMinute: 60 }) };
  };
  const limited = expect.objectContaining({ code: "rate_limited" });

  it("counts all addresses of one IPv6 network as one, so that nobody guesses on from the next", () => {
    const { limit } = open();
    limit.take("2001:db8:1:2::1");
    limit.take("2001:db8:1:2:ffff::2");
    expect(() => limit.take("2001:0db8:1:2::3")).toThrow(limited);
    limit.take("2001:db8:1:3::1");
    limit.take("192.0.2.1");
    limit.take("192.0.2.2");
  });

  it("fills up again evenly, and looking takes nothing", () => {
    const { time, limit } = open();
    limit.take("192.0.2.1");
    limit.take("::ffff:192.0.2.1");
    expect(() => limit.check("192.0.2.1")).toThrow(limited);
    time.ms = 1_000;
    limit.check("192.0.2.1");
    limit.take("192.0.2.1");
    expect(() => limit.take("192.0.2.1")).toThrow(limited);
  });

  it("says after how many seconds there is one again", () => {
    const { time, limit } = open();
    limit.take("192.0.2.1");
    limit.take("192.0.2.1");
    time.ms = 400;
    expect(() => limit.take("192.0.2.1")).toThrow(expect.objectContaining({ details: { retryAfterS: 1 } }));
    const slow = createRateLimit({ nowMs: () => 0, monotonicMs: () => time.ms }, { burst: 1, perMinute: 2 });
    slow.take("192.0.2.1");
    time.ms += 6_000;
    expect(() => slow.take("192.0.2.1")).toThrow(expect.objectContaining({ details: { retryAfterS: 24 } }));
  });
});
