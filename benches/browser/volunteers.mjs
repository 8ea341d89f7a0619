// Measures the package for users, `./just bench web`: a page of Chromium that dials a real coordinator, and workerd.

import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";

import { startCoordinator, until } from "../../prover-wasm/tests/hosts/coordinator.mjs";
import { serve } from "../../prover-wasm/tests/hosts/server.mjs";
import { startTemplate } from "../../prover-wasm/tests/hosts/workerd.mjs";
import { main } from "./driver.mjs";

const HERE = new URL("./", import.meta.url);
const TARGET = new URL("../../target/", HERE);
const PAYOUT = `0x${"21".repeat(20)}`;
const THREADS = 2;
/** Seconds that a page folds before it is closed or paused: more than one checkpoint interval. */
const FOLDING_S = 40;
/** Seconds in which an edge function begins steps: a segment with a check-in on the way. */
const EDGE_S = 40;
/** Seconds after which nothing more comes from a page that is gone. */
const GONE_S = 5;

const sleep = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1_000));

/** Opens a volunteer's page, and has it fold. Gives the page and the seconds until its first step. */
async function volunteer(context, server, coordinator, payout = PAYOUT) {
  const page = await context.newPage();
  await page.goto(`${server.origin}/browser/volunteer.html`);
  await page.waitForFunction(() => globalThis.begin !== undefined);
  const options = { url: coordinator.url, payout, threads: THREADS };
  const seconds = await page.evaluate((options) => globalThis.begin(options), options);
  return { page, seconds, totals: async () => (await page.evaluate(() => globalThis.look())).state.sum.totals };
}

/** Seconds to the first step: of pages that have nothing in their caches, and of those loaded again. */
async function firstSteps(browser, server, coordinator, pages) {
  const [cold, warm] = [[], []];
  for (let i = 0; i < pages; i++) {
    const context = await browser.newContext();
    for (const times of [cold, warm]) {
      const { page, seconds } = await volunteer(context, server, coordinator);
      times.push(seconds);
      await page.evaluate(() => globalThis.stop());
      await page.close();
    }
    await context.close();
  }
  return { cold, warm };
}

/** Steps that are credited to an address. */
async function credited(coordinator, payout) {
  const [programs, { leaders }] = await Promise.all(["/v1/programs", "/v1/leaderboard"].map(coordinator.json));
  const { rows } = programs.find(({ name }) => name === coordinator.program);
  return leaders.filter((leader) => leader.payout === payout).reduce((sum, { credit }) => sum + credit / rows, 0);
}

/** What is lost when a page goes without a word. */
async function closed(browser, server, coordinator) {
  const payout = `0x${"22".repeat(20)}`;
  const context = await browser.newContext();
  const { page, totals } = await volunteer(context, server, coordinator, payout);
  await sleep(FOLDING_S);
  const { foldedSteps: folded } = await totals();
  await page.close();
  await context.close();
  await sleep(GONE_S);
  return { folded, credited: await credited(coordinator, payout) };
}

/** What is lost when a page pauses. */
async function paused(browser, server, coordinator) {
  const payout = `0x${"23".repeat(20)}`;
  const context = await browser.newContext();
  const { page, totals } = await volunteer(context, server, coordinator, payout);
  await sleep(FOLDING_S);
  await page.evaluate(() => globalThis.pause());
  await until("a paused page has delivered what it folded", async () => {
    const { state } = await page.evaluate(() => globalThis.look());
    return state.workers.every(({ status }) => status.activity === "paused") && state.sum.heldProofs === 0;
  });
  const { foldedSteps: folded } = await totals();
  await context.close();
  return { folded, credited: await credited(coordinator, payout) };
}

/** Peak of the memory of an edge function that folds a segment, and the steps that it folded. */
async function edge(coordinator) {
  const token = randomBytes(16).toString("hex");
  const worker = await startTemplate({
    CROWDFOLD_URL: coordinator.url,
    CROWDFOLD_PAYOUT: PAYOUT,
    CROWDFOLD_IDENTITY: randomBytes(32).toString("hex"),
    CROWDFOLD_BUDGET_MS: String(EDGE_S * 1_000),
    RUN_TOKEN: token,
  });
  try {
    const answer = await fetch(`${worker.url}/run`, { method: "POST", headers: { authorization: `Bearer ${token}` } });
    const { steps, delivered, memoryBytes, error } = await answer.json();
    if (error || !delivered || !steps) throw new Error(`workerd: ${error ?? "nothing was delivered"}`);
    return { edgeBytes: memoryBytes, edgeSteps: steps };
  } finally {
    await worker.close();
  }
}

await main(async (browser, { program, pages }) => {
  const server = await serve({ "/pkg/": new URL("pkg/prover/", TARGET), "/browser/": HERE });
  const coordinator = await startCoordinator({ program, targetS: 120, minSteps: 1 });
  try {
    const job = await coordinator.submit(await readFile(new URL("bench/volunteers/job.bytes", TARGET)));
    const times = await firstSteps(browser, server, coordinator, pages);
    const lost = {
      closed: await closed(browser, server, coordinator),
      paused: await paused(browser, server, coordinator),
    };
    const peak = await edge(coordinator);
    await coordinator.request("DELETE", `/v1/jobs/${job}`);
    return { ...times, ...lost, ...peak };
  } finally {
    await coordinator.close();
    await server.close();
  }
});
