/**
 * Serves the sample app on this machine, and plays the sign-in of an app: /bearer asks the sandbox's identity provider.
 *
 *     node clients/web/sample/serve.mjs
 *
 * PORT, SERVICE and SANDBOX choose other addresses than those of `make run`. The Telnyx SDK is used where it is installed:
 * `npm install --no-save @telnyx/video` in clients/web.
 */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { basename, extname } from "node:path";
import { fileURLToPath } from "node:url";

const { PORT = "8090", SERVICE = "http://127.0.0.1:8080", SANDBOX = "http://127.0.0.1:8081" } = process.env;
const SDK = fileURLToPath(new URL("../node_modules/@telnyx/video/lib/index.mjs", import.meta.url));
const TYPES = { ".html": "text/html; charset=utf-8", ".js": "text/javascript", ".mjs": "text/javascript" };
const origin = `http://127.0.0.1:${PORT}`;

function fileOf(path) {
  if (path === "/") return new URL("index.html", import.meta.url);
  if (path === "/sdk.mjs") return SDK;
  const folder = path.startsWith("/client/") ? "../src/" : "./";
  return new URL(folder + basename(path), import.meta.url);
}

async function answer(url) {
  if (url.pathname === "/config") {
    return ["application/json", JSON.stringify({ service: SERVICE, sdk: existsSync(SDK) })];
  }
  if (url.pathname === "/bearer") {
    const body = JSON.stringify({ user: url.searchParams.get("user") });
    const told = await fetch(`${SANDBOX}/sandbox/idp/token`, { method: "POST", headers: { Accept: "text/plain" }, body });
    return ["text/plain", await told.text()];
  }
  const file = fileOf(url.pathname);
  return [TYPES[extname(String(file))] ?? "application/octet-stream", await readFile(file)];
}

createServer(async (request, response) => {
  try {
    const [type, content] = await answer(new URL(request.url, origin));
    response.writeHead(200, { "Content-Type": type, "Cache-Control": "no-store" }).end(content);
  } catch {
    response.writeHead(404).end();
  }
}).listen(Number(PORT), "127.0.0.1", () => {
  console.log(`${origin} uses ${SERVICE}, which must allow it: ALLOWED_ORIGINS=${origin}`);
  if (!existsSync(SDK)) console.log("The Telnyx SDK is not installed, so there is a token but no call.");
  else console.log(`With the sandbox, start Chromium with the options that ${SANDBOX}/sandbox/signalling tells.`);
});
