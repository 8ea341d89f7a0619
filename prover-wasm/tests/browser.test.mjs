// The pages' prover in real Chromium, against a real coordinator: what visitors do to a tab must cost nobody any work.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";

import { makeFixture } from "./fixture.mjs";
import { squarings, startCoordinator, until } from "./hosts/coordinator.mjs";
import { TARGET } from "./hosts/paths.mjs";
import { PAYOUT, servePages, startTabs } from "./hosts/tabs.mjs";

/** Steps of a job that lasts long enough to do something to it. */
const STEPS = 12;
/** Milliseconds between two proofs of what was folded so far: `CHECKPOINT_INTERVAL_MS` of the protocol. */
const CHECKPOINT_MS = 15_000;
/** Bits a second with which a proof, of 0.8 MB, is under way for long enough to do something meanwhile. */
const SLOW = 640_000;
/** Milliseconds for which nothing on a page's own thread may last: a click would be felt to hang. */
const HANG_MS = 1_000;

let coordinator;
let tabs;
let visitor;
/** Servers of pages: cross-origin isolated, and as most sites are. */
let isolated;
let plain;

before(async () => {
  coordinator = await startCoordinator({ targetS: 60 });
  tabs = await startTabs(() => coordinator.url);
  isolated = await servePages({ isPublic: true });
  plain = await servePages({ isIsolated: false });
});
after(async () => {
  await tabs?.close();
  await Promise.all([isolated?.close(), plain?.close(), coordinator?.close()]);
});
afterEach(async () => {
  await visitor?.close();
  // What a test has left undone is no work for the next.
  const { jobs } = await coordinator.json("/v1/jobs?state=open");
  for (const { job } of jobs) await coordinator.request("DELETE", `/v1/jobs/${job}`);
});

/** Opens a page as a new visitor. */
async function open(server = isolated, ...patches) {
  visitor = await tabs.visitor();
  return tabs.open(visitor, server, patches);
}

/** A page that proves a job by itself, some of which is folded already. */
async function proving(options, server, ...patches) {
  const job = await coordinator.submit(squarings(STEPS));
  const tab = await open(server, ...patches);
  await tab.begin(options);
  await tab.folding();
  return { job, tab };
}

/** That the page has folded every step of its job once, and got credit for each. */
async function checkOnce({ job, tab }) {
  await coordinator.finished(job);
  const { foldedSteps, creditedSteps, refused } = await tab.settled();
  assert.deepEqual({ foldedSteps, creditedSteps, refused }, { foldedSteps: STEPS, creditedSteps: STEPS, refused: 0 });
}

/** That the workers of a page have done its job together. At its end two may fold the same: one will be done first. */
async function checkShared({ job, tab }) {
  await coordinator.finished(job);
  const { creditedSteps, refused } = await tab.settled();
  assert.ok(creditedSteps >= STEPS && refused === 0, `${creditedSteps} steps credited, ${refused} proofs refused`);
}

/** Credit of a prover, by its key, for a job. */
async function credited(key, job) {
  const { credits } = await coordinator.json(`/v1/provers/${key}/credits`);
  return credits.filter((credit) => credit.job === job).reduce((sum, { steps }) => sum + steps, 0);
}

describe("a tab", () => {
  test("joins and proves segments of the rollup, and the page stays free", async (t) => {
    const steps = 6;
    const fixture = await makeFixture("browser", { program: "rollup/1", steps, segments: ["tab"] });
    const { contract, chainId } = fixture.segment("tab").context;
    const settings = `[chain]\nid = ${chainId}\ncontract = "${contract}"`;
    const rollup = await startCoordinator({ program: "rollup/1", minSteps: 1, settings });
    try {
      const job = await rollup.submit(await readFile(fixture.jobUrl));
      const tab = await open();
      await tab.page.evaluate(() => {
        let last = performance.now();
        globalThis.longest = 0;
        setInterval(() => {
          globalThis.longest = Math.max(globalThis.longest, performance.now() - last);
          last = performance.now();
        }, 10);
      });
      const began = Date.now();
      await tab.begin({ url: rollup.url });
      await tab.until(({ sum }) => sum.totals.foldedSteps > 0);
      t.diagnostic(`first_step_cold_s ${(Date.now() - began) / 1_000}`);
      await rollup.finished(job);
      const { foldedSteps, creditedSteps } = await tab.settled();
      assert.deepEqual({ foldedSteps, creditedSteps }, { foldedSteps: steps, creditedSteps: steps });
      const { variant, threads, workers } = await tab.state();
      assert.deepEqual([variant, threads, workers.length], ["threads", 2, 1]);
      const longest = await tab.page.evaluate(() => globalThis.longest);
      assert.ok(longest < HANG_MS, `the page hung for ${longest} ms`);
    } finally {
      await rollup.close();
    }
  });

  test("survives a coordinator that is killed and comes back", async () => {
    const { job, tab } = await proving();
    await coordinator.kill();
    const { sum } = await tab.until(({ sum }) => sum.link !== "open");
    await coordinator.restart();
    await coordinator.finished(job);
    // The coordinator knows nothing of its leases any more. What was folded counts all the same.
    const { creditedSteps } = await tab.settled();
    assert.equal(creditedSteps, STEPS);
    const { trouble, verdict } = await tab.events();
    const prefix = verdict.find(({ first, outcome }) => first === 0n && outcome === "accepted");
    assert.ok(prefix.steps >= sum.totals.foldedSteps, `${prefix.steps} of ${sum.totals.foldedSteps} steps`);
    assert.deepEqual(trouble, []);
  });

  test("survives being offline, and is back at once", async (t) => {
    const { job, tab } = await proving();
    // The browser lets connections live that there are, so the coordinator goes away too.
    await visitor.setOffline(true);
    await coordinator.kill();
    // By now it waits for many seconds between its attempts.
    await tab.until(({ isOnline, workers }) => !isOnline && workers[0].status.retryInMs > 5_000);
    await coordinator.restart();
    await visitor.setOffline(false);
    const back = Date.now();
    await tab.until(({ isOnline, sum }) => isOnline && sum.link === "open");
    t.diagnostic(`connected ${Date.now() - back} ms after the network was back`);
    assert.ok(Date.now() - back < 4_000);
    await coordinator.finished(job);
    const { creditedSteps } = await tab.settled();
    assert.equal(creditedSteps, STEPS);
  });

  test("loses no step when it is paused, and goes on", async (t) => {
    const here = await proving();
    await here.tab.call("pause");
    const { foldedSteps, creditedSteps } = await here.tab.settled();
    t.diagnostic(`steps_lost_on_pause ${foldedSteps - creditedSteps}`);
    assert.ok(foldedSteps >= 3 && foldedSteps < STEPS, `${foldedSteps} steps`);
    assert.equal(foldedSteps - creditedSteps, 0);
    assert.equal((await here.tab.state()).phase, "paused");
    assert.equal((await coordinator.job(here.job)).state, "open");
    await here.tab.call("resume");
    await checkOnce(here);
    assert.deepEqual((await here.tab.events()).phases, ["starting", "running", "paused", "running"]);
  });

  test("hands its prefix in when it is stopped, and starts again without loading anything twice", async (t) => {
    const here = await proving();
    const requests = [];
    here.tab.page.on("request", (request) => requests.push(request.url()));
    await here.tab.call("stop");
    const { phase, sum, workers } = await here.tab.state();
    assert.deepEqual([phase, workers.length], ["off", 0]);
    assert.equal(sum.totals.foldedSteps, sum.totals.creditedSteps);
    assert.ok(sum.totals.foldedSteps < STEPS);
    const began = Date.now();
    await here.tab.call("start");
    await here.tab.folding(1);
    t.diagnostic(`first_step_warm_s ${(Date.now() - began) / 1_000}`);
    await checkOnce(here);
    assert.deepEqual(requests.filter((url) => url.includes("/v1/parameters/")), []);
  });

  test("fetches parameters once more if its copy is damaged", async () => {
    const here = await proving();
    await here.tab.call("stop");
    await here.tab.page.evaluate(async () => {
      const cache = await caches.open("crowdfold-parameters");
      for (const request of await cache.keys()) {
        const bytes = await (await cache.match(request)).bytes();
        bytes[bytes.length >> 1] ^= 1;
        await cache.put(request, new Response(bytes));
      }
    });
    const fetched = here.tab.page.waitForRequest((request) => request.url().includes("/v1/parameters/"));
    await here.tab.call("start");
    await fetched;
    await checkOnce(here);
  });

  test("delivers after a reload what it had finished before", async () => {
    const { job, tab } = await proving({ bandwidth: SLOW });
    await tab.call("pause");
    await tab.until(({ sum }) => sum.heldProofs === 1 && sum.folding === 0);
    const before = await tab.state();
    assert.equal(before.storage, "files");
    assert.equal(before.sum.totals.accepted, 0);
    await tab.reload();
    await tab.begin();
    const { foldedSteps, creditedSteps } = (await coordinator.finished(job)) && (await tab.settled());
    assert.equal((await tab.state()).workers[0].key, before.workers[0].key);
    assert.equal(creditedSteps, STEPS);
    assert.equal(before.sum.totals.foldedSteps + foldedSteps, STEPS);
  });

  test("removes a stored proof that is damaged", async () => {
    const { job, tab } = await proving({ bandwidth: SLOW });
    await tab.call("pause");
    await tab.until(({ sum }) => sum.heldProofs === 1 && sum.folding === 0);
    const { sum } = await tab.state();
    await tab.page.goto(`${isolated.origin}/tests/hosts/page.html`);
    assert.equal(await tab.page.evaluate(damageProofs), 1);
    await tab.page.goto(`${isolated.origin}/tests/hosts/prover.html`);
    await tab.begin();
    await coordinator.finished(job);
    // What was lost is folded again.
    const { foldedSteps, refused } = await tab.settled();
    assert.deepEqual({ foldedSteps, refused }, { foldedSteps: STEPS, refused: 0 });
    assert.ok(sum.totals.foldedSteps > 0);
    assert.ok((await tab.events()).note.some(({ text }) => text.includes("damaged")));
  });

  test("may be open twice", async () => {
    const one = await open();
    const two = await tabs.open(visitor, isolated);
    for (const tab of [one, two]) {
      await tab.begin({ threads: 1 });
      await tab.until(({ sum }) => sum.link === "open");
    }
    const job = await coordinator.submit(squarings(STEPS));
    await coordinator.finished(job);
    const workers = [...(await one.state()).workers, ...(await two.state()).workers];
    assert.deepEqual(workers.map(({ slot }) => slot).sort(), [0, 1]);
    const shares = await Promise.all(workers.map(({ key }) => credited(key, job)));
    assert.ok(shares.every((share) => share > 0), `${shares}`);
    assert.ok(shares[0] + shares[1] >= STEPS, `${shares}`);
  });

  test("that is closed loses at most what was folded since its last check-in", async (t) => {
    // So many steps that it would fold for three intervals.
    const before = await proving();
    await checkOnce(before);
    const [{ steps: its, credit }] = (await coordinator.json(`/v1/provers/${await key(before.tab)}/credits`)).credits;
    const speed = ((await before.tab.state()).workers[0].status.rowsPerSecond * its) / credit;
    const steps = Math.ceil((speed * 3 * CHECKPOINT_MS) / 1_000);
    const job = await coordinator.submit(squarings(steps));
    const began = (await before.tab.totals()).foldedSteps;
    const folded = async () => (await before.tab.totals()).foldedSteps - began;
    await before.tab.until(({ sum, workers }) => sum.heldProofs > 0 && workers[0].status.activity === "folding");
    const interval = await folded();
    // A window of chunks goes out after each step: by then the check-in has arrived.
    await until("more steps", async () => (await folded()) > interval + 10);
    const [prover, last] = [await key(before.tab), await folded()];
    await before.tab.close();
    const native = await startNative();
    await coordinator.finished(job);
    await native.close();
    const kept = await credited(prover, job);
    t.diagnostic(`steps_lost_on_close ${last - kept} of ${last}, of ${steps} in all`);
    assert.ok(kept > 0 && last - kept <= interval, `${kept} of ${last} steps are kept, ${interval} were checked in`);
  });
});

describe("a page", () => {
  for (const [what, server, patches] of [
    ["that is not cross-origin isolated", () => plain, []],
    ["without SharedArrayBuffer", () => isolated, [() => delete globalThis.SharedArrayBuffer]],
  ]) {
    test(`${what} proves in isolated workers`, async () => {
      const here = await proving({}, server(), ...patches);
      const { variant, threads, workers } = await here.tab.state();
      assert.deepEqual([variant, threads, workers.map(({ slot }) => slot)], ["single", 2, [0, 1]]);
      assert.notEqual(workers[0].key, workers[1].key);
      await checkShared(here);
      const totals = (await here.tab.state()).workers.map(({ status }) => status.totals.creditedSteps);
      assert.ok(totals.every((steps) => steps > 0), `${totals}`);
    });
  }

  for (const [most, variant, memoryMiB, threads] of [
    [1024, "threads", 1024, 2],
    [512, "threads", 512, 2],
    [256, "single", 256, 2],
  ]) {
    test(`where no more than ${most} MiB of memory can be shared proves with what there is`, async () => {
      const here = await proving({}, isolated, refuseMemory(most));
      const state = await here.tab.state();
      assert.deepEqual([state.variant, state.memoryMiB, state.threads], [variant, memoryMiB, threads]);
      const { trouble } = await here.tab.events();
      assert.deepEqual([...new Set(trouble.map(({ kind }) => kind))], ["memory"]);
    });
  }

  test("whose policy forbids the workers of threads goes on without them", async () => {
    const policy = "worker-src 'self'";
    const strict = await servePages({ policy });
    try {
      const here = await proving({}, strict);
      assert.equal((await here.tab.state()).variant, "single");
      assert.deepEqual((await here.tab.events()).trouble.map(({ kind }) => kind), ["blocked"]);
    } finally {
      await strict.close();
    }
  });

  test("without locks or storage proves all the same", async () => {
    const here = await proving({}, isolated, () => Object.defineProperty(navigator, "locks", { value: undefined }));
    const { storage, workers } = await here.tab.state();
    assert.equal(storage, "memory");
    assert.ok(workers[0].slot >= 64);
  });

  test("says what is wrong", async () => {
    const tab = await open(isolated, () => (WebAssembly.validate = () => false));
    await assert.rejects(tab.begin(), /has no SIMD: update it/);
    assert.equal((await tab.state()).phase, "failed");
    assert.match((await tab.events()).failed[0].text, /has no SIMD/);
    for (const [options, says] of [
      [{ url: `${coordinator.url}/path` }, /url: expected the coordinator's origin/],
      [{ url: "file:///tmp" }, /url: expected/],
      [{ payout: "0x12" }, /payout: expected 0x and 40/],
      [{ identity: "12" }, /identity: expected 64/],
      [{ threads: 0 }, /threads: expected a whole number from 1 to 32/],
      [{ threads: 1.5 }, /threads: expected/],
      [{ duty: 0 }, /duty: expected a number above 0/],
      [{ memoryMiB: 64 }, /memoryMiB: expected a number from 128 to 2048/],
      [{ bandwidth: 1_000 }, /bandwidth: expected 0 for no limit, or at least 64000/],
      [{ isolated: "yes" }, /isolated: expected "auto" or "never"/],
    ]) {
      await assert.rejects(tab.begin(options), says);
    }
  });

  test("takes and gives out its key, and changes its number of threads without losing a step", async () => {
    const identity = "7".repeat(64);
    const here = await proving({ identity, isolated: "never", threads: 2 });
    assert.equal(await here.tab.call("exportIdentity"), identity);
    const before = (await here.tab.state()).workers[0].key;
    await here.tab.call("set", { threads: 1 });
    const { workers } = await here.tab.until(({ threads, workers }) => threads === 1 && workers.length === 1);
    assert.deepEqual([workers[0].slot, workers[0].key], [0, before]);
    await checkShared(here);
  });
});

describe("a worker", () => {
  test("that traps starts again", async () => {
    const here = await proving();
    await here.tab.worker().evaluate(() => {
      // A module whose start function is `unreachable`.
      const module = [0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 3, 2, 1, 0, 8, 1, 0, 10, 5, 1, 3, 0, 0, 11];
      const trap = () => new WebAssembly.Instance(new WebAssembly.Module(Uint8Array.from(module)));
      // The session looks at the clock, and the trap ends its turn.
      Date.now = trap;
    });
    await here.tab.until(({ workers }) => workers[0].restarts === 1 && workers[0].condition === "running");
    await here.tab.folding(1);
    const { trouble, phases } = await here.tab.events();
    assert.deepEqual(trouble.map(({ kind }) => kind), ["crash"]);
    assert.match(trouble[0].text, /unreachable.*starts again in 1 s/);
    assert.deepEqual(phases, ["starting", "running"]);
    const { variant, threads } = await here.tab.state();
    assert.deepEqual([variant, threads], ["threads", 2]);
  });

  test("that ends with an error again and again gets fewer threads", async () => {
    const tab = await open();
    await tab.begin();
    for (let crash = 1; crash <= 3; crash += 1) {
      await tab.worker().evaluate(() => setTimeout(() => { throw new Error("broken"); }));
      await tab.until(({ workers: [its] }, given) => its.restarts === given && its.condition === "running", crash);
    }
    const { variant, threads } = await tab.state();
    assert.deepEqual([variant, threads], ["threads", 1]);
    assert.match((await tab.events()).trouble.at(-1).text, /broken.*goes on with one thread/);
  });

  test("that runs out of memory, in whichever of its threads, starts again with less", async () => {
    // The first memory is smaller than it says, and too small for any step.
    const here = await proving({}, isolated, fakeMemory(2048, 20));
    const { memoryMiB, variant, threads } = await here.tab.state();
    assert.deepEqual([memoryMiB, variant, threads], [1024, "threads", 2]);
    assert.deepEqual((await here.tab.events()).trouble.map(({ kind }) => kind), ["memory"]);
  });

  test("that hangs is ended, but not one that is slow", async () => {
    visitor = await tabs.visitor();
    await visitor.clock.install();
    const tab = await tabs.open(visitor, isolated);
    await tab.begin();
    await tab.worker().evaluate(() => {
      setTimeout(() => {
        for (;;);
      });
    });
    await tab.page.clock.runFor(9 * 60_000);
    assert.deepEqual((await tab.events()).trouble, []);
    await tab.page.clock.runFor(2 * 60_000);
    assert.deepEqual((await tab.events()).trouble.map(({ kind }) => kind), ["unresponsive"]);
    assert.equal((await tab.state()).workers[0].restarts, 1);
  });

  test("with a quarter of a core proves, and is taken for dead by nobody", async () => {
    const steps = 4;
    const job = await coordinator.submit(squarings(steps));
    const tab = await open();
    const slowed = await slowDown(tabs.browser, 0.25);
    try {
      await tab.begin();
      await coordinator.finished(job);
      assert.equal((await tab.settled()).creditedSteps, steps);
      assert.deepEqual((await tab.events()).trouble, []);
    } finally {
      slowed.close();
    }
  });
});

describe("storage", () => {
  for (const [where, ...patches] of [
    ["files"],
    ["records", () => (navigator.storage.getDirectory = () => Promise.reject(new DOMException("", "SecurityError")))],
  ]) {
    test(`of proofs in ${where}`, async () => {
      const { page } = await open(isolated, ...patches);
      const found = await page.evaluate(async () => {
        const { openProofs, slotsWithProofs, tidyProofs } = await import("/prover/proofs.js");
        const coordinator = "https://prove.example";
        const slot = (number, key = "ab") => openProofs({ coordinator, number, key });
        const proof = (upload, length) => {
          return { upload, task: 2n ** 63n, first: 5n, steps: 7n, bytes: new Uint8Array(length).fill(length) };
        };
        const list = async (store) => {
          const proofs = (await store.stored()).map((proof) => ({ ...proof, bytes: [...proof.bytes] }));
          return proofs.sort((a, b) => (a.upload < b.upload ? -1 : 1));
        };
        const store = await slot(3);
        const [a, b, c] = [proof("a", 1), proof("b", 2), proof("c", 3)];
        await Promise.all([store.keep(a), store.keep(b), store.forget("a"), store.keep(c)]);
        const tooLong = { ...proof("d", 0), bytes: { length: 513 * 2 ** 20 } };
        const tooMuch = await store.keep(tooLong).then(String, ({ message }) => message);
        const kept = await list(await slot(3));
        const others = [await list(await slot(3, "cd")), await list(await slot(4))];
        const slots = await slotsWithProofs(coordinator);
        const now = Date.now();
        Date.now = () => now + 8 * 24 * 3_600_000;
        await tidyProofs();
        Date.now = () => now;
        return { where: store.where, tooMuch, kept, others, slots, later: await slotsWithProofs(coordinator) };
      });
      const proof = (upload, bytes) => ({ upload, task: 2n ** 63n, first: 5n, steps: 7n, bytes });
      assert.deepEqual(found, {
        where,
        tooMuch: "too many proofs wait for their verdict",
        kept: [proof("b", [2, 2]), proof("c", [3, 3, 3])],
        others: [[], []],
        slots: [3],
        later: [],
      });
    });
  }

  test("of parameters drops what was refused, and what was used longest ago", async () => {
    const { page } = await open();
    const requests = [];
    page.on("request", (request) => requests.push(request.url()));
    const found = await page.evaluate(async () => {
      const { cachedParameters, parameters } = await import("/prover/parameters.js");
      const id = (number) => number.toString(16).padStart(64, "0");
      const get = (number, isRefused = false) => parameters("/prover/plan.js", id(number), "fold", isRefused);
      const first = await get(1);
      const same = await get(1);
      await get(1, true);
      for (let number = 2; number <= 8; number += 1) await get(number);
      await get(1);
      await get(9);
      const missing = await parameters("/prover/none", id(10), "fold", false).then(String, ({ message }) => message);
      const cached = (await cachedParameters()).map((digest) => Number.parseInt(digest, 16));
      return { isSame: first.length > 0 && String(first) === String(same), cached: cached.sort(), missing };
    });
    // The second has not been used for longest.
    assert.deepEqual(found.cached, [1, 3, 4, 5, 6, 7, 8, 9]);
    assert.ok(found.isSame);
    assert.match(found.missing, /none can't be fetched: the answer is 404/);
    assert.equal(requests.filter((url) => url.endsWith("plan.js")).length, 10);
  });
});

describe("the widget", () => {
  test("on a page of another origin with a strict policy asks first, proves, and pauses", async () => {
    const socket = coordinator.url.replace("http", "ws");
    const policy = [
      "default-src 'none'",
      `script-src 'self' ${isolated.origin} 'wasm-unsafe-eval'`,
      `worker-src blob: ${isolated.origin}`,
      `connect-src ${isolated.origin} ${coordinator.url} ${socket}`,
    ].join("; ");
    const elsewhere = await servePages({ isIsolated: false, policy });
    try {
      visitor = await tabs.visitor();
      const page = await visitor.newPage();
      const origins = new Set();
      page.on("request", (request) => origins.add(new URL(request.url()).origin));
      page.on("websocket", (opened) => origins.add(new URL(opened.url()).origin));
      const given = { url: coordinator.url, payout: PAYOUT, threads: "1", duty: "0.9", package: isolated.origin };
      await page.goto(`${elsewhere.origin}/tests/hosts/widget.html?${new URLSearchParams(given)}`);
      const widget = page.getByRole("region", { name: "Lend some computing power" });
      const start = widget.getByRole("button", { name: "Start" });
      await start.waitFor();
      const host = new URL(coordinator.url).host;
      const consent = `your browser computes for ${host} with one processor core for about 90 % of the time`;
      await widget.getByText(consent).waitFor();
      assert.equal(page.workers().length, 0);
      assert.deepEqual([...origins].sort(), [elsewhere.origin, isolated.origin].sort());

      const job = await coordinator.submit(squarings(8));
      await start.press("Enter");
      await widget.getByRole("status").getByText("Computing.").waitFor({ timeout: 60_000 });
      await coordinator.finished(job);
      await widget.getByRole("status").getByText("Waiting for work.").waitFor();
      const numbers = await widget.getByRole("definition").allTextContents();
      assert.equal(numbers[1], "8");
      assert.ok(Number(numbers[2]) > 0);
      await widget.getByRole("button", { name: "Pause" }).click();
      await widget.getByRole("status").getByText("Paused. Nothing runs.").waitFor();
      await widget.getByRole("button", { name: "Go on" }).waitFor();
      const rest = [...origins].filter((origin) => origin !== "null" && !origin.startsWith("blob"));
      const allowed = [elsewhere.origin, isolated.origin, coordinator.url, socket];
      assert.ok(rest.every((origin) => allowed.includes(origin)), `${rest}`);
      // Taken out of its page it stops, but not when it is only moved.
      const phase = await page.evaluate(async () => {
        const widget = document.querySelector("crowdfold-widget");
        const { prover } = widget;
        document.body.prepend(widget);
        await Promise.resolve();
        const moved = prover.state.phase;
        widget.remove();
        await new Promise((resolve) => {
          prover.addEventListener("state", () => prover.state.phase === "off" && resolve());
        });
        return moved;
      });
      assert.equal(phase, "paused");
    } finally {
      await elsewhere.close();
    }
  });
});

const key = async (tab) => (await tab.state()).workers[0].key;

/** A patch of a page: no memory to share beyond so many MiB. */
function refuseMemory(mib) {
  const refuse = (pages) => {
    const { Memory } = WebAssembly;
    WebAssembly.Memory = class extends Memory {
      constructor(given) {
        if (given.maximum > pages) throw new RangeError("could not allocate memory");
        super(given);
      }
    };
  };
  return { content: `(${refuse})(${mib * 16})` };
}

/** A patch of a page: where it asks for so many MiB of memory to share, it gets less. */
function fakeMemory(mib, real) {
  const fake = (pages, given) => {
    const { Memory } = WebAssembly;
    WebAssembly.Memory = class extends Memory {
      constructor(wanted) {
        super({ ...wanted, maximum: wanted.maximum === pages ? given : wanted.maximum });
      }
    };
  };
  return { content: `(${fake})(${mib * 16}, ${real * 16})` };
}

/** Starts a native prover, which others may take over from. */
async function startNative() {
  const data = await mkdtemp(join(tmpdir(), "crowdfold-native-"));
  const args = ["--url", coordinator.url, "--payout", `0x${"aa".repeat(20)}`, "--threads", "1", "--data", data];
  const child = spawn(fileURLToPath(new URL("debug/prover-native", TARGET)), args, { stdio: "ignore" });
  return {
    async close() {
      const ended = once(child, "exit");
      child.kill("SIGKILL");
      await ended;
      await rm(data, { recursive: true });
    },
  };
}

/**
 * Lets the browser's renderers run for that part of the time only, as a control group does, which a test may not make
 * everywhere: they are stopped and go on again and again.
 */
async function slowDown(browser, part) {
  const session = await browser.newBrowserCDPSession();
  const { processInfo } = await session.send("SystemInfo.getProcessInfo");
  const renderers = processInfo.filter(({ type }) => type === "renderer").map(({ id }) => id);
  assert.ok(renderers.length > 0);
  const signal = (name) => {
    for (const id of renderers) {
      try {
        process.kill(id, name);
      } catch {
        // It has ended.
      }
    }
  };
  const PERIOD_MS = 200;
  let timer;
  const stop = () => {
    signal("SIGSTOP");
    timer = setTimeout(go, PERIOD_MS * (1 - part));
  };
  const go = () => {
    signal("SIGCONT");
    timer = setTimeout(stop, PERIOD_MS * part);
  };
  stop();
  return {
    close() {
      clearTimeout(timer);
      signal("SIGCONT");
    },
  };
}

/** Changes a byte in the middle of every proof that is stored; how many there are. Runs in a page. */
async function damageProofs() {
  let count = 0;
  const visit = async (folder) => {
    for await (const entry of folder.values()) {
      if (entry.kind === "directory") {
        await visit(entry);
        continue;
      }
      const bytes = await (await entry.getFile()).bytes();
      bytes[bytes.length >> 1] ^= 1;
      const stream = await entry.createWritable();
      await stream.write(bytes);
      await stream.close();
      count += 1;
    }
  };
  await visit(await navigator.storage.getDirectory());
  return count;
}
