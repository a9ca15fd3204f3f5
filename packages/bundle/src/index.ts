export { bundleApp, type AppBundle } from "./bundle-app.ts";
