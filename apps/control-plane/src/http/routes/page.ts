import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { defineRoute, type AnyRoute } from "../route.ts";

const file = new URL("../page/index.html", import.meta.url);

function toHash(html: string, element: "script" | "style"): string {
  const content = new RegExp(`<${element}>([\\s\\S]*?)</${element}>`, "u").exec(html)?.[1] ?? "";
  return `'sha256-${createHash("sha256").update(content, "utf8").digest("base64")}'`;
}

/** One file without foreign assets; the policy admits exactly its own script and style. */
export function createPageRoutes(): AnyRoute[] {
  const html = readFileSync(file, "utf8");
  const policy = [
    "default-src 'none'",
    `script-src ${toHash(html, "script")}`,
    `style-src ${toHash(html, "style")}`,
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join("; ");
  return [
    defineRoute({
      method: "GET",
      path: "/",
      summary: "Status page.",
      permission: "public",
      request: {},
      response: null,
      handle: async () =>
        new Response(html, {
          headers: { "content-type": "text/html; charset=utf-8", "content-security-policy": policy },
        }),
    }),
  ];
}
