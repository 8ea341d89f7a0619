// The `wide` package, which `./just package` tries: Chromium has wide arithmetic behind a flag.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { makeFixture } from "./fixture.mjs";
import { startChromium } from "./hosts/chromium.mjs";

let chromium;
before(async () => {
  chromium = await startChromium({ flags: ["--js-flags=--wasm-wide-arithmetic"] });
});
after(() => chromium?.close());

test("wide in Chromium", async () => {
  const what = { program: "squarings/1/100", steps: 2, segments: ["chromium-wide", "native"] };
  const fixture = await makeFixture("wide", what);
  const { context, start, inputs } = fixture.segment("chromium-wide");
  const page = await chromium.open();
  await page.call("load", { variant: "wide", parameters: fixture.parameters, ...fixture.names });
  await page.call("segment", { context, start });
  for (const input of inputs) await page.call("push", { input });
  await fixture.keep("chromium-wide", await page.call("finish"));
  assert.match(await fixture.check(), /root of 4 steps: valid/);
});
