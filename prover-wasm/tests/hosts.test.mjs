// The packages under target/pkg in the places they are made for: real Chromium, Node and workerd. Each host proves a
// segment of one chain from inputs that it gets one by one; the native side verifies them all, and merges them with its own.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, afterEach, before, describe, test } from "node:test";

import { makeFixture } from "./fixture.mjs";
import { startChromium } from "./hosts/chromium.mjs";
import { loadInNode, startNode } from "./hosts/node.mjs";
import { PACKAGES } from "./hosts/paths.mjs";
import { startWorkerd } from "./hosts/workerd.mjs";
import { checkRefusals } from "./refusals.mjs";

const MIB = 2 ** 20;
const STEPS = 3;
const MAX_MEMORY_BYTES = 110e6;

let fixture;
let payments;
before(async () => {
  const segments = ["native-1", "chromium-threads", "chromium-single", "native-2", "node-single", "workerd-edge"];
  fixture = await makeFixture("hosts", { program: "squarings/1/100", steps: STEPS, segments });
  // A batch of payments, whose steps have 2^16 rows, nearly: the most that an edge function is asked to prove.
  const provers = ["chromium-payments", "native-payments", "node-payments", "workerd-payments"];
  payments = await makeFixture("payments", { program: "rollup/1", steps: 2, segments: provers });
});

/** Checks what a host says about the package it has loaded, which must use so many threads. */
async function checkAbout(variant, threads, about) {
  const manifest = JSON.parse(await readFile(new URL(`${variant}/package.json`, PACKAGES), "utf8"));
  const { constraints, ...rest } = about;
  assert.deepEqual(rest, { version: manifest.version, threads, insecure: true, ...fixture.names });
  assert.ok(constraints > 100);
}

/** Streams the inputs of a segment of `fixture` to a host, and keeps the proof. */
async function prove(fixture, host, name) {
  const { context, start, inputs, end } = fixture.segment(name);
  await host.call("segment", { context, start });
  let reached;
  for (const [i, input] of inputs.entries()) {
    reached = await host.call("push", { input });
    assert.equal(reached.count, i + 1);
  }
  assert.equal(reached.state, end);
  await fixture.keep(name, await host.call("finish"));
}

/** Proves a segment of the batch on a host. */
async function provePayments(host, name, options) {
  const { constraints } = await host.call("load", { ...options, ...payments.names });
  assert.ok(constraints > 60_000, `${constraints} rows`);
  await prove(payments, host, name);
}

describe("Chromium", () => {
  let chromium;
  before(async () => {
    chromium = await startChromium();
  });
  after(() => chromium?.close());

  for (const [variant, threads] of [
    ["threads", 2],
    ["single", 1],
  ]) {
    test(variant, async () => {
      const page = await chromium.open();
      const { names, parameters } = fixture;
      await checkAbout(variant, threads, await page.call("load", { variant, threads, parameters, ...names }));
      await prove(fixture, page, `chromium-${variant}`);
      checkRefusals(await page.call("refusals", fixture.segment("native-1")));
      await page.close();
    });
  }

  test("payments", async () => {
    const page = await chromium.open();
    await provePayments(page, "chromium-payments", { variant: "threads", threads: 2, parameters: payments.parameters });
    await page.close();
  });
});

describe("Node", () => {
  test("single", async () => {
    const host = await startNode("single", fixture.parametersUrl);
    await checkAbout("single", 1, await host.call("load", fixture.names));
    await prove(fixture, host, "node-single");
    checkRefusals(await host.call("refusals", fixture.segment("native-1")));
  });

  test("edge proves payments in little memory", async () => {
    const host = await startNode("edge", payments.parametersUrl);
    await provePayments(host, "node-payments");
    const memory = await host.call("memory");
    assert.ok(memory <= MAX_MEMORY_BYTES, `${memory} bytes of memory`);
  });

  test("edge can't grow past 112 MiB", async () => {
    const { memory } = (await loadInNode("edge")).exports;
    const pages = (112 * MIB - memory.buffer.byteLength) / 65_536;
    memory.grow(pages);
    assert.throws(() => memory.grow(1), RangeError);
  });
});

describe("workerd", () => {
  let workerd;
  afterEach(() => workerd?.close());

  test("edge", async () => {
    workerd = await startWorkerd("edge", fixture.parametersUrl);
    await checkAbout("edge", 1, await workerd.call("load", fixture.names));
    await prove(fixture, workerd, "workerd-edge");
    checkRefusals(await workerd.call("refusals", fixture.segment("native-1")));
  });

  test("payments", async () => {
    workerd = await startWorkerd("edge", payments.parametersUrl);
    await provePayments(workerd, "workerd-payments");
  });
});

describe("native", () => {
  test("verifies all proofs and merges them to a root", async () => {
    assert.match(await fixture.check(), new RegExp(`root of ${6 * STEPS} steps: valid`));
    assert.match(await payments.check(), /root of 8 steps: valid/);
  });
});
