// Drives Chromium for a benchmark: `node NAME.mjs PLAN` takes a plan as JSON and prints the results as JSON; `node NAME.mjs
// --check` only says whether Chromium starts. Parameters come from target/bench/NAME, proofs go there.

import { writeFile } from "node:fs/promises";

import { serve } from "../../prover-wasm/tests/hosts/server.mjs";
import { launch } from "../../prover-wasm/tests/hosts/launch.mjs";

const HERE = new URL("./", import.meta.url);
const TARGET = new URL("../../target/", HERE);

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

/**
 * Starts Chromium, and prints what `measure(browser, plan)` makes of the plan.
 *
 * @param {(browser: object, plan: object) => Promise<object>} measure
 */
export async function main(measure) {
  const plan = process.argv[2];
  let browser;
  try {
    browser = await launch();
  } catch (error) {
    console.error(`Chromium does not start: ${error.message}`);
    process.exit(1);
  }
  try {
    if (plan !== "--check") console.log(JSON.stringify(await measure(browser, JSON.parse(plan))));
  } finally {
    await browser.close();
  }
}

/**
 * @param {string} name of the folder with data, which pages see as /data/
 * @param {string} packages folder of the WASM packages under target/, which pages see as /pkg/
 * @param {(task: Function, save: Function, plan: object) => Promise<object>} measure makes the results; `task(name, options)`
 *   runs a task of worker.mjs with the plan and these options, `save(name, proof)` keeps a proof
 */
export const drive = (name, packages, measure) =>
  main(async (browser, plan) => {
    const data = new URL(`bench/${name}/`, TARGET);
    const server = await serve({ "/pkg/": new URL(packages, TARGET), "/data/": data, "/browser/": HERE });
    const task = (name, options) => {
      console.error(`Chromium: ${name}, ${options.variant}`);
      return run(browser, server.origin, name, { ...plan, ...options });
    };
    const save = (name, proof) => writeFile(new URL(`${name}.proof`, data), Buffer.from(proof, "base64"));
    try {
      return await measure(task, save, plan);
    } finally {
      await server.close();
    }
  });

/** Runs steps of ours and of the peer in turn, with one thread and with two; keeps our proofs. */
export async function races(task, save) {
  const race = async (name, options) => {
    const { times, proof } = await task("race", options);
    await save(name, proof);
    return times;
  };
  const race1 = await race("race1", { variant: "single", threads: 1 });
  const race2 = await race("race2", { variant: "threads", threads: 2 });
  return { race1, race2 };
}
