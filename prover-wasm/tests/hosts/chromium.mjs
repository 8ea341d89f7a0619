// Runs a package in a worker of a page in real Chromium.

import { launch } from "./launch.mjs";
import { TARGET, TESTS } from "./paths.mjs";
import { serve } from "./server.mjs";

const CALL_SECONDS = 120;

/** Starts a server and a browser. */
export async function startChromium({ flags = [] } = {}) {
  const server = await serve({ "/target/": TARGET, "/tests/": TESTS });
  let browser;
  try {
    browser = await launch(flags);
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
