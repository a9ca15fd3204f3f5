import { describe, expect, it } from "vitest";
import { parseTarget } from "./target.ts";

const open = { allowsPlainHttp: true, ports: "any" } as const;
const strict = { allowsPlainHttp: false, ports: [443, 8443] } as const;

describe("parseTarget", () => {
  it("reads host, port and path", () => {
    expect(parseTarget("https://Hooks.Example.com:8443/a/b?c=d", strict)).toEqual({
      protocol: "https:",
      host: "hooks.example.com",
      isAddress: false,
      port: 8443,
      path: "/a/b?c=d",
      authority: "hooks.example.com:8443",
    });
    expect(parseTarget("http://[2606::1]", open)).toMatchObject({ host: "2606::1", isAddress: true, port: 80 });
  });

  it.each([
    ["http://example.com/", "plain http"],
    ["https://example.com:22/", "port"],
    ["https://example.com:0/", "port 0"],
    ["gopher://example.com/", "spoken"],
    ["file:///etc/passwd", "spoken"],
    ["ftp://example.com/", "spoken"],
    ["data:text/plain,x", "spoken"],
    ["javascript:alert(1)", "spoken"],
    ["//example.com/", "spoken"],
    ["https:example.com", "spoken"],
    ["https:///example.com", "spoken"],
    ["https://user@example.com/", "user names"],
    ["https://user:secret@example.com/", "user names"],
    ["https://@example.com/", "user names"],
    ["https://example.com@127.0.0.1/", "user names"],
    ["https://example.com/#x", "fragment"],
    ["https://example.com\\@127.0.0.1/", "characters"],
    ["https://exam\tple.com/", "characters"],
    ["https://example.com/\r\nhost: x", "characters"],
    [" https://example.com/", "characters"],
    ["https://exämple.com/", "characters"],
    ["https://example.com./", "host name"],
    ["https://-example.com/", "host name"],
    ["https://*.example.com/", "host name"],
    ["https://1.2.3.4.5/", "URL"],
    ["https://[::1/", "URL"],
    ["https://[fe80::1%25eth0]/", "URL"],
    [`https://example.com/${"a".repeat(2_048)}`, "longer"],
    ["", "characters"],
  ])("refuses %s", (url, why) => {
    expect(() => parseTarget(url, strict)).toThrowError(
      expect.objectContaining({ code: "url_refused", message: expect.stringContaining(why) as string }),
    );
  });
});
