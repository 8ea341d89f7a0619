// A prover in Chromium for another program: takes commands as lines of JSON on its standard input and answers each with a
// line. Chromium and the web server stop when the input ends. `xtask demo` drives it.

import { createInterface } from "node:readline";

import { startChromium } from "./hosts/chromium.mjs";

const CLOSE_SECONDS = 10;

async function answer(page, line) {
  try {
    const { command, arguments: args } = JSON.parse(line);
    const result = await page.call(command, args);
    return { result: result instanceof Uint8Array ? Buffer.from(result).toString("hex") : result };
  } catch (error) {
    return { error: String(error?.message ?? error) };
  }
}

const chromium = await startChromium();
const page = await chromium.open();
for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(`${JSON.stringify(await answer(page, line))}\n`);
}
// Exiting takes Chromium along, even if it doesn't close when asked to.
setTimeout(() => process.exit(1), CLOSE_SECONDS * 1_000).unref();
await chromium.close();
