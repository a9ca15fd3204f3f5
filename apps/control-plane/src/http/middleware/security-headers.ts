import { createMiddleware } from "hono/factory";

/** Set unless the route said otherwise; the status page brings its own policy. */
export const securityHeaders = createMiddleware(async (context, next) => {
  await next();
  const { headers } = context.res;
  const set = (name: string, value: string) => {
    if (!headers.has(name)) headers.set(name, value);
  };
  set("x-content-type-options", "nosniff");
  set("x-frame-options", "DENY");
  set("referrer-policy", "no-referrer");
  set("cache-control", "no-store");
  set("content-security-policy", "default-src 'none'; frame-ancestors 'none'");
  set("strict-transport-security", "max-age=31536000");
  set("cross-origin-resource-policy", "same-origin");
});
