// A static web server. Its pages are cross-origin isolated, as threads in WASM demand, unless told otherwise.

import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { extname } from "node:path";

const TYPES = {
  ".css": "text/css",
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".json": "application/json",
  ".mjs": "text/javascript",
  ".wasm": "application/wasm",
};

/**
 * Serves folders on a free port of the loopback interface.
 *
 * @param {Record<string, URL>} mounts folder for each path prefix; both end in a slash
 * @param {object} [how]
 * @param {boolean} [how.isIsolated] whether pages are cross-origin isolated
 * @param {boolean} [how.isPublic] whether pages of other origins may load what is here
 * @param {string} [how.policy] the pages' Content-Security-Policy
 */
export async function serve(mounts, { isIsolated = true, isPublic = false, policy } = {}) {
  const server = createServer(async (request, response) => {
    if (isIsolated) {
      response.setHeader("Cross-Origin-Opener-Policy", "same-origin");
      response.setHeader("Cross-Origin-Embedder-Policy", "require-corp");
    }
    if (isPublic) response.setHeader("Access-Control-Allow-Origin", "*");
    if (policy) response.setHeader("Content-Security-Policy", policy);
    response.setHeader("Cache-Control", "no-store");
    // The URL parser resolves `..`, so the result can't leave its mount.
    const { pathname } = new URL(request.url, "http://localhost");
    const prefix = Object.keys(mounts).find((mount) => pathname.startsWith(mount));
    try {
      const file = prefix && new URL(pathname.slice(prefix.length), mounts[prefix]);
      if (!file?.href.startsWith(mounts[prefix].href)) throw new Error("outside");
      const body = await readFile(file);
      response.setHeader("Content-Type", TYPES[extname(file.pathname)] ?? "application/octet-stream");
      response.end(body);
    } catch {
      response.writeHead(404).end();
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    origin: `http://127.0.0.1:${server.address().port}`,
    async close() {
      server.close();
      server.closeAllConnections();
      await once(server, "close");
    },
  };
}
