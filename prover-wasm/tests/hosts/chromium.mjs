// Runs a package in a worker of a page in real Chromium.

import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

import { chromium } from "playwright-core";

import { TARGET, TESTS } from "./paths.mjs";
import { serve } from "./server.mjs";

const CALL_SECONDS = 120;

const FLAGS = [
  // Chromium's sandbox refuses to run as root, which is what CI runs as.
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** Path of the system's Chromium. Playwright's own builds are not used: their download is not pinned by our lock file. */
function findChromium() {
  const names = ["chromium", "chromium-browser", "google-chrome"];
  const folders = (process.env.PATH ?? "").split(delimiter);
  for (const path of names.flatMap((name) => folders.map((folder) => join(folder, name)))) {
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // Not here.
    }
  }
  throw new Error("no Chromium on PATH: run `./just setup`, which installs it");
}

/** Starts a server and a browser. */
export async function startChromium({ flags = [] } = {}) {
  const executablePath = findChromium();
  const server = await serve({ "/target/": TARGET, "/tests/": TESTS });
  let browser;
  try {
    browser = await chromium.launch({ executablePath, args: [...FLAGS, ...flags] });
  } catch (error) {
    await server.close();
    throw error;
  }
  return {
    open: () => open(browser, `${server.origin}/tests/hosts/page.html`),
    async close() {
      await browser.close();
      await server.close();
    },
  };
}

/** Opens a page as a host. Whatever goes wrong in the page rejects the call at hand. */
async function open(browser, url) {
  const page = await browser.newPage();
  const messages = [];
  page.on("console", (message) => messages.push(message.text()));
  page.on("pageerror", (error) => messages.push(error.message));
  await page.goto(url);
  return {
    /** `load` takes, beside the names, the variant, its threads, and the parameters' path under `target/`. */
    async call(command, args) {
      try {
        return await within(CALL_SECONDS, page.evaluate(([c, a]) => globalThis.call(c, a), [command, args]));
      } catch (error) {
        throw new Error([error.message, ...messages].join("\n"), { cause: error });
      }
    },
    /** Milliseconds since the page began to load. */
    age: () => page.evaluate(() => performance.now()),
    close: () => page.close(),
  };
}

/** A page that hangs must not hang whoever drives it. */
async function within(seconds, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${seconds} s`)), seconds * 1_000);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}
