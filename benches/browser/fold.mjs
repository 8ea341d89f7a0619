// Measures in Chromium for `./just bench fold`: `node fold.mjs PLAN` takes a plan as JSON and prints the results as JSON;
// `node fold.mjs --check` only says whether Chromium starts. Parameters come from target/bench/fold, proofs go there.

import { writeFile } from "node:fs/promises";

import { serve } from "../../prover-wasm/tests/hosts/server.mjs";
import { launch } from "../../prover-wasm/tests/hosts/launch.mjs";

const HERE = new URL("./", import.meta.url);
const TARGET = new URL("../../target/bench/", HERE);
const DATA = new URL("fold/", TARGET);

/** Runs one task in a worker of a fresh page, so that nothing compiled or allocated is left from another. */
async function run(browser, origin, task, options) {
  const page = await browser.newPage();
  const messages = [];
  page.on("console", (message) => messages.push(message.text()));
  page.on("pageerror", (error) => messages.push(error.message));
  try {
    await page.goto(`${origin}/browser/page.html`);
    return await page.evaluate(([t, o]) => globalThis.runInWorker(t, o), [task, options]);
  } catch (error) {
    throw new Error([error.message, ...messages].join("\n"), { cause: error });
  } finally {
    await page.close();
  }
}

async function measure(browser, origin, plan) {
  const task = (name, options) => {
    console.error(`Chromium: ${name}, ${options.variant}`);
    return run(browser, origin, name, { ...plan, ...options });
  };
  const save = (name, proof) => writeFile(new URL(`${name}.proof`, DATA), Buffer.from(proof, "base64"));
  const race = async (name, options) => {
    const { times, proof } = await task("race", options);
    await save(name, proof);
    return times;
  };
  const repeat = async (options) => {
    const times = [];
    for (let i = 0; i < plan.pages; i++) times.push(await task("firstStep", options));
    return times;
  };
  const race1 = await race("race1", { variant: "single", threads: 1 });
  const race2 = await race("race2", { variant: "threads", threads: 2 });
  const peak = await task("peak", { variant: "edge" });
  await save("peak", peak.proof);
  return {
    race1,
    race2,
    peakBytes: peak.bytes,
    firstStep: await repeat({ variant: "threads", threads: 2 }),
    firstStepSingle: await repeat({ variant: "single", threads: 1 }),
  };
}

const plan = process.argv[2];
let browser;
try {
  browser = await launch();
} catch (error) {
  console.error(`Chromium does not start: ${error.message}`);
  process.exit(1);
}
try {
  if (plan !== "--check") {
    const server = await serve({ "/pkg/": new URL("pkg/", TARGET), "/data/": DATA, "/browser/": HERE });
    try {
      console.log(JSON.stringify(await measure(browser, server.origin, JSON.parse(plan))));
    } finally {
      await server.close();
    }
  }
} finally {
  await browser.close();
}
