// A volunteer of the demonstration: a page with the widget, in headless Chromium.
//
//   node tab.mjs COORDINATOR PAYOUT FOLDER
//
// It proves until standard input ends. Pictures of the page go into the folder.

import { join } from "node:path";

import { launch } from "../../prover-wasm/tests/hosts/launch.mjs";
import { serve } from "../../prover-wasm/tests/hosts/server.mjs";

const PICTURE_MS = 2_000;
const PACKAGE = new URL("../../target/pkg/prover/", import.meta.url);

const [url, payout, folder] = process.argv.slice(2);

const server = await serve({ "/pkg/": PACKAGE, "/": new URL("./", import.meta.url) });
const browser = await launch();
const page = await browser.newPage({ viewport: { width: 480, height: 480 } });
page.on("console", (message) => console.log(message.text()));
page.on("pageerror", (error) => console.error(error.message));
await page.goto(`${server.origin}/tab.html?${new URLSearchParams({ url, payout })}`);
await page.getByRole("button").first().click();

const picture = setInterval(() => page.screenshot({ path: join(folder, "tab.png") }).catch(() => {}), PICTURE_MS);
process.stdin.resume();
process.stdin.once("end", async () => {
  clearInterval(picture);
  await browser.close();
  await server.close();
});
