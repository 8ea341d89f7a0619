// Measures a prover in a host; prints a line of JSON for each configuration:
//
//   node prover-wasm/tests/measure.mjs [--program squarings/1/53600] [--steps 4] HOST/VARIANT[/THREADS]...
//
// as in `chromium/threads/2 chromium/single node/edge`. Times are in seconds; in Chromium `firstStep` counts from the
// beginning of the page's load to the end of the first step, and includes loading and checking the parameters.

import { parseArgs } from "node:util";

import { makeFixture } from "./fixture.mjs";
import { startChromium } from "./hosts/chromium.mjs";
import { startNode } from "./hosts/node.mjs";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    program: { type: "string", default: "squarings/1/53600" },
    steps: { type: "string", default: "4" },
  },
});

const fixture = await makeFixture("measure", { program: values.program, steps: Number(values.steps), segments: ["it"] });
const { context, start, inputs } = fixture.segment("it");

const round = (seconds) => Math.round(seconds * 1_000) / 1_000;

async function timed(run) {
  const begun = performance.now();
  const result = await run();
  return [result, round((performance.now() - begun) / 1_000)];
}

async function measure(host, variant, threads) {
  const args = { variant, threads, parameters: fixture.parameters, ...fixture.names };
  const [{ constraints }, load] = await timed(() => host.call("load", args));
  const memoryLoaded = await host.call("memory");
  await host.call("segment", { context, start });
  const steps = [];
  let firstStep;
  for (const input of inputs) {
    const [, step] = await timed(() => host.call("push", { input }));
    steps.push(step);
    if (host.age) firstStep ??= round((await host.age()) / 1_000);
  }
  const memorySteps = await host.call("memory");
  const [proof, finish] = await timed(() => host.call("finish"));
  const memory = { loaded: memoryLoaded, steps: memorySteps, finished: await host.call("memory") };
  return { constraints, load, firstStep, steps, finish, proofBytes: proof.length, memory };
}

let chromium;
try {
  for (const position of positionals) {
    const [name, variant, threads = "1"] = position.split("/");
    if (name === "chromium") chromium ??= await startChromium();
    const host = name === "chromium" ? await chromium.open() : await startNode(variant, fixture.parametersUrl);
    console.log(JSON.stringify({ host: position, ...(await measure(host, variant, Number(threads))) }));
    await host.close?.();
  }
} finally {
  await chromium?.close();
}
