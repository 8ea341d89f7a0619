// Pages with a prover, as visitors have them, in real Chromium.

import { launch } from "./launch.mjs";
import { PACKAGES, TESTS } from "./paths.mjs";
import { serve } from "./server.mjs";

/** Milliseconds that anything may take: what is waited for comes in seconds, far later only if something is stuck. */
const PATIENCE_MS = 120_000;
/** Who is paid. */
export const PAYOUT = `0x${"5e".repeat(20)}`;

const MOUNTS = { "/prover/": new URL("prover/", PACKAGES), "/tests/": TESTS };

/** Serves the package and pages with it; `how` as `serve` takes it. */
export const servePages = (how) => serve(MOUNTS, how);

/** Starts a browser whose pages use the coordinator at `url()`. */
export async function startTabs(url) {
  const browser = await launch();
  return {
    browser,
    /** A profile of its own: a visitor who was not here before. */
    visitor: () => browser.newContext(),
    /**
     * Opens a page of `server`, without starting anything.
     *
     * @param {object} visitor the browser's context
     * @param {(() => void)[]} [patches] what runs in the page before its own scripts
     */
    async open(visitor, server, patches = []) {
      const page = await visitor.newPage();
      page.setDefaultTimeout(PATIENCE_MS);
      const said = [];
      page.on("console", (message) => said.push(message.text()));
      page.on("pageerror", (error) => said.push(String(error)));
      for (const patch of patches) await page.addInitScript(patch);
      await page.goto(`${server.origin}/tests/hosts/prover.html`);
      return tab(page, url, said);
    },
    close: () => browser.close(),
  };
}

/** What a test does with a page. */
function tab(page, url, said) {
  const self = {
    page,
    /** What came on the console. */
    said,
    /** Starts a prover; resolves when its first worker runs. */
    begin: (options = {}) =>
      page.evaluate((all) => globalThis.begin(all), { url: url(), payout: PAYOUT, threads: 2, ...options }),
    state: () => page.evaluate(() => globalThis.prover.state),
    events: () => page.evaluate(() => globalThis.events),
    totals: async () => (await self.state()).sum.totals,
    call: (name, ...given) => page.evaluate(([n, g]) => globalThis.prover[n](...g), [name, given]),
    /** Waits until `check` is true of the state, and gives that state. */
    async until(check, given) {
      const found = `(${check})(globalThis.prover.state, given) && globalThis.prover.state`;
      try {
        const handle = await page.waitForFunction(new Function("given", `return ${found}`), given, { polling: 50 });
        return await handle.jsonValue();
      } catch (error) {
        const [state, events] = await Promise.all([self.state(), self.events()]).catch(() => []);
        const what = JSON.stringify({ check: String(check), state, events, said }, null, 1);
        throw new Error(`${error.message}\n${what}`, { cause: error });
      }
    },
    /** Waits until so many steps of the segment at hand are folded. */
    folding: (steps = 3) =>
      self.until(({ workers }, given) => workers.some(({ status }) => status?.folded >= given), steps),
    /** Waits until every proof has its verdict and nothing is folded, and gives the totals. */
    async settled() {
      const isSettled = ({ workers }) =>
        workers.every(({ status }) => status && status.heldProofs === 0 && /^(idle|paused)$/.test(status.activity));
      return (await self.until(isSettled)).sum.totals;
    },
    /** The worker of this package that was started last. */
    worker: () => page.workers().findLast((worker) => /^(?!.*blob:).*\/worker\.js$/.test(worker.url())),
    reload: async () => {
      await page.reload();
    },
    close: () => page.close(),
  };
  return self;
}
