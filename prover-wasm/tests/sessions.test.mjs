// Sessions of the package with a real coordinator: in this process, and by the templates in Node, Deno and workerd.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, readFile, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { payments, squarings, startCoordinator, until } from "./hosts/coordinator.mjs";
import { PACKAGES, ROOT, TEMPLATES } from "./hosts/paths.mjs";
import { startTemplate } from "./hosts/workerd.mjs";

const PAYOUT = "0x00000000000000000000000000000000000000aa";
const MAX_EDGE_BYTES = 112 * 2 ** 20;
const PACKAGE = new URL("prover/", PACKAGES);

const { drive, load, network, openFolder, Refused, runOnce } = await import(new URL("node.js", PACKAGE));
const wasm = await load();

const random = () => crypto.getRandomValues(new Uint8Array(32));
const options = (more = {}) => ({
  url: "ws://127.0.0.1:1",
  identity: random(),
  payout: PAYOUT,
  host: "server",
  threads: 1,
  memoryBytes: 2 ** 30,
  ...more,
});

/** Hooks that note what they are called with. */
function hooks(more = {}) {
  const calls = [];
  const names = ["wake", "needParameters", "keep", "forget", "changed", "note"];
  const noting = Object.fromEntries(names.map((name) => [name, (...args) => void calls.push([name, ...args])]));
  return { calls, hooks: { ...noting, ...more } };
}

/** A socket that does what a test says. */
class FakeSocket extends EventTarget {
  readyState = 0;
  bufferedAmount = 0;
  sent = [];
  closed = 0;
  send(data) {
    this.sent.push(data);
  }
  close() {
    this.closed += 1;
    this.readyState = 3;
  }
  open() {
    this.readyState = 1;
    this.dispatchEvent(new Event("open"));
  }
  message(data) {
    this.dispatchEvent(new MessageEvent("message", { data }));
  }
}

/** A session over sockets that the test has in its hands. */
function faked(more = {}) {
  const sockets = [];
  const dial = () => {
    sockets.push(new FakeSocket());
    return sockets.at(-1);
  };
  const { calls, hooks: noting } = hooks({ dial, ...more });
  const session = new wasm.Session(options(), noting);
  session.turn();
  return { session, sockets, calls, notes: () => calls.filter(([name]) => name === "note").map(([, text]) => text) };
}

const kindIs = (kind) => (error) => error instanceof Error && error.name === "CrowdfoldError" && error.kind === kind;

async function folder(t) {
  const path = await mkdtemp(join(tmpdir(), "crowdfold-sessions-"));
  t.after(() => rm(path, { recursive: true }));
  return path;
}

describe("arguments", () => {
  const refused = {
    url: [undefined, "", "localhost", "ftp://host", "ws://host/path", "ws://user@host", 5],
    identity: [undefined, new Uint8Array(31), new Uint8Array(33), "00".repeat(32), Array(32).fill(0)],
    payout: [undefined, "", PAYOUT.slice(0, -1), PAYOUT.slice(2), `0x${"0".repeat(40)}`],
    host: [undefined, "browser", 1],
    threads: [undefined, 0, -1, 1.5, 5000, NaN, "2"],
    memoryBytes: [undefined, -1, 0.5, Infinity],
    software: ["x".repeat(65), "a\nb", 5],
    rowsPerSecond: [-1, "fast", NaN],
    heldBytes: [-1, null],
    tasks: [0, 17, 1.5],
    cached: ["text", ["text"], [PAYOUT], Array(1025).fill("00".repeat(32)), {}],
  };
  for (const [name, values] of Object.entries(refused)) {
    test(`${name} that is wrong`, () => {
      for (const value of values) {
        const make = () => new wasm.Session(options({ [name]: value }), hooks().hooks);
        assert.throws(make, kindIs("Argument"), `${name}: ${String(value)}`);
      }
    });
  }

  test("options and hooks that are none", () => {
    for (const wrong of [undefined, null, 5, "text"]) {
      assert.throws(() => new wasm.Session(wrong, hooks().hooks), kindIs("Argument"));
      assert.throws(() => new wasm.Session(options(), wrong), kindIs("Argument"));
    }
    for (const name of ["wake", "needParameters", "forget", "changed", "note"]) {
      assert.throws(() => new wasm.Session(options(), hooks({ [name]: 5 }).hooks), kindIs("Argument"), name);
    }
    const thrower = { get url() { throw new Error("no"); } };
    assert.throws(() => new wasm.Session(thrower, hooks().hooks), kindIs("Argument"));
  });

  test("what a session is told that is wrong leaves it as it was", () => {
    const { session } = faked();
    for (const rate of [-1, NaN, -Infinity]) assert.throws(() => session.setBandwidth(rate), kindIs("Argument"));
    const id = "00".repeat(32);
    assert.throws(() => session.parameters(id, "fold", new Uint8Array()), kindIs("Argument"));
    assert.throws(() => session.parameters("text", "fold", new Uint8Array()), kindIs("Argument"));
    assert.throws(() => session.noParameters(id, "other", "why"), kindIs("Argument"));
    for (const wrong of [undefined, null, {}, { upload: id, task: 1n, first: 0n, steps: 1n, bytes: new Uint8Array(5) }]) {
      assert.equal(session.restore(wrong), "damaged");
    }
    assert.equal(session.status().link, "dialling");
    session.free();
  });

  test("slots have identities of their own", () => {
    const identity = new Uint8Array(32).fill(1);
    assert.deepEqual(wasm.deriveIdentity(identity, 0), identity);
    const keys = [0, 1, 2, 4294967295].map((slot) => wasm.publicKey(wasm.deriveIdentity(identity, slot)));
    assert.equal(new Set(keys).size, 4);
    for (const key of keys) assert.match(key, /^[0-9a-f]{64}$/);
    for (const slot of [-1, 0.5, NaN, 2 ** 32, Infinity]) {
      assert.throws(() => wasm.deriveIdentity(identity, slot), kindIs("Argument"), String(slot));
    }
    assert.throws(() => wasm.publicKey(new Uint8Array(31)), kindIs("Argument"));
    assert.throws(() => wasm.deriveIdentity("text", 0), kindIs("Argument"));
  });
});

describe("the line", () => {
  test("what is no frame ends the connection", () => {
    const wrongs = ["text", new Uint8Array(4), undefined, new ArrayBuffer(264 * 1024 + 1)];
    for (const wrong of wrongs) {
      const { session, sockets, notes } = faked();
      sockets[0].open();
      session.turn();
      assert.equal(session.status().link, "greeting");
      sockets[0].message(wrong);
      session.turn();
      assert.equal(session.status().link, "waiting");
      assert.equal(sockets[0].closed, 1);
      assert.match(notes().at(-1), /^not connected: the coordinator sent/);
      session.free();
    }
  });

  test("a coordinator that floods is not listened to", () => {
    const { session, sockets, notes } = faked();
    sockets[0].open();
    const frame = new ArrayBuffer(256 * 1024);
    for (let i = 0; i < 600; i += 1) sockets[0].message(frame);
    session.turn();
    assert.match(notes().join("\n"), /not connected/);
    assert.equal(session.status().link, "waiting");
    session.free();
  });

  test("old sockets and freed sessions hear nothing", () => {
    const { session, sockets, calls } = faked();
    sockets[0].open();
    session.turn();
    sockets[0].dispatchEvent(new Event("error"));
    session.turn();
    assert.ok(session.status().retryInMs > 0);
    session.nudge();
    assert.equal(session.status().link, "dialling");
    assert.equal(sockets.length, 2);
    const heard = calls.length;
    sockets[0].message(new ArrayBuffer(8));
    sockets[0].open();
    assert.equal(calls.length, heard);
    session.turn();
    assert.equal(session.status().link, "dialling");
    session.free();
    assert.equal(sockets[1].closed, 1);
    const freed = calls.length;
    sockets[1].open();
    sockets[1].message(new ArrayBuffer(8));
    assert.equal(calls.length, freed);
  });

  test("a socket that can't be made or is none is a failed attempt", () => {
    for (const dial of [() => { throw new Error("blocked"); }, () => undefined, () => 5, () => ({}), () => Object.freeze({})]) {
      const { hooks: noting, calls } = hooks({ dial });
      const session = new wasm.Session(options(), noting);
      session.turn();
      assert.equal(session.status().link, "waiting");
      assert.ok(calls.some(([name]) => name === "note"));
      session.free();
    }
  });

  test("hooks may throw, and call the session back", () => {
    let session;
    const { hooks: noting } = hooks({
      dial: () => new FakeSocket(),
      changed() {
        session?.status();
        session?.turn();
        throw new Error("mine");
      },
    });
    session = new wasm.Session(options(), noting);
    session.turn();
    session.pause();
    assert.equal(session.status().activity, "paused");
    session.resume();
    assert.equal(session.status().activity, "idle");
    session.stop();
    session.free();
  });
});

describe("with a coordinator", () => {
  let coordinator;
  before(async () => {
    coordinator = await startCoordinator();
  });
  after(() => coordinator?.close());

  /** Drives a session until it has folded so many steps; gives what happened. */
  async function folded(steps, host = network, more = {}, settings = {}) {
    const events = [];
    const enough = ({ totals }) => totals.foldedSteps >= steps;
    const session = options({ url: coordinator.url, ...more });
    const driver = drive(wasm, session, host, { until: enough, ...settings }, (event) => events.push(event));
    const status = await driver.done;
    return { status, events, verdicts: events.filter(({ kind }) => kind === "verdict").map(({ verdict }) => verdict) };
  }

  test("a job is completed", async () => {
    const job = await coordinator.submit(squarings(12));
    const { status, verdicts } = await folded(12);
    await coordinator.finished(job);
    assert.equal(status.link, "off");
    assert.equal(status.totals.foldedSteps, 12);
    assert.equal(status.totals.creditedSteps, 12);
    assert.ok(verdicts.some(({ outcome }) => outcome === "accepted"));
  });

  test("parameters are fetched once in a module", async () => {
    let fetched = 0;
    const host = {
      ...network,
      fetchParameters(...args) {
        fetched += 1;
        return network.fetchParameters(...args);
      },
    };
    const job = await coordinator.submit(squarings(8));
    await folded(4, host);
    await folded(4, host);
    await coordinator.finished(job);
    assert.ok(fetched <= 1, `${fetched} times`);
  });

  test("a stop hands in the prefix, and the rest is for others", async () => {
    const job = await coordinator.submit(squarings(40));
    const { status } = await folded(3);
    assert.ok(status.totals.foldedSteps >= 3 && status.totals.foldedSteps < 40);
    assert.equal(status.totals.creditedSteps, status.totals.foldedSteps);
    assert.equal((await coordinator.job(job)).covered, status.totals.foldedSteps);
    await folded(40 - status.totals.foldedSteps);
    await coordinator.finished(job);
  });

  test("a pause loses nothing", async () => {
    const job = await coordinator.submit(squarings(30));
    const statuses = [];
    const session = options({ url: coordinator.url });
    const driver = drive(wasm, session, network, { duty: 0.9 }, (event) => {
      if (event.kind === "status") statuses.push(event.status);
    });
    await until("some steps", () => statuses.at(-1)?.totals.foldedSteps >= 3);
    driver.pause();
    const paused = await until("a pause", () => {
      const status = statuses.at(-1);
      return status.activity === "paused" && status.heldProofs === 0 && status;
    });
    assert.equal(paused.totals.creditedSteps, paused.totals.foldedSteps);
    driver.resume();
    driver.set({ duty: 1 });
    await coordinator.finished(job);
    driver.stop();
    const status = await driver.done;
    assert.equal(status.totals.foldedSteps, 30);
    assert.equal(status.totals.creditedSteps, 30);
  });

  test("a coordinator that restarts loses nothing", async () => {
    const job = await coordinator.submit(squarings(40));
    const statuses = [];
    const driver = drive(wasm, options({ url: coordinator.url }), network, {}, (event) => {
      if (event.kind === "status") statuses.push(event.status);
    });
    await until("some steps", () => statuses.at(-1)?.totals.foldedSteps >= 3);
    await coordinator.kill();
    await until("its absence is seen", () => statuses.at(-1).link !== "open");
    await coordinator.restart();
    driver.nudge();
    await coordinator.finished(job);
    driver.stop();
    assert.equal((await driver.done).totals.foldedSteps, 40);
  });

  test("proofs that are not delivered outlive the session", async (t) => {
    const store = await openFolder(await folder(t));
    const host = { ...network, ...store };
    const job = await coordinator.submit(squarings(40));
    const statuses = [];
    const identity = random();
    const lost = drive(wasm, options({ url: coordinator.url, identity }), host, {}, (event) => {
      if (event.kind === "status") statuses.push(event.status);
    });
    await until("some steps", () => statuses.at(-1)?.totals.foldedSteps >= 5);
    await coordinator.kill();
    lost.pause();
    await until("a proof is kept", async () => (await store.stored()).length > 0);
    const { totals } = statuses.at(-1);
    lost.leave();
    await lost.done;
    await coordinator.restart();
    const { status, verdicts } = await folded(40 - totals.foldedSteps, host, { identity });
    assert.equal(status.totals.creditedSteps, 40);
    assert.ok(verdicts.length >= 2);
    await coordinator.finished(job);
    assert.deepEqual(await store.stored(), []);
  });

  test("damaged parameters are fetched again", async (t) => {
    const path = await folder(t);
    const { parameters } = (await coordinator.json("/v1/programs"))[0];
    const file = join(path, "parameters", `${parameters}.fold`);
    await mkdir(join(path, "parameters"));
    await writeFile(file, "damaged");
    // A module of its own: this one's has them loaded.
    wasm.__wbg_reset_state();
    const job = await coordinator.submit(squarings(4));
    const pulled = await runOnce({ url: coordinator.url, payout: PAYOUT, folder: path });
    assert.equal(pulled.credited, 4);
    await coordinator.finished(job);
    assert.ok((await readFile(file)).length > 10_000);
    // The folder has an identity from now on.
    const again = await runOnce({ url: coordinator.url, payout: PAYOUT, folder: path, idleMs: 500 });
    assert.equal(again.key, pulled.key);
    assert.deepEqual([again.steps, again.delivered], [0, true]);
  });

  test("parameters that can't be had hand the task back", async () => {
    wasm.__wbg_reset_state();
    const job = await coordinator.submit(squarings(4));
    const host = { ...network, fetchParameters: async () => new Uint8Array(100) };
    const driver = drive(wasm, options({ url: coordinator.url }), host, { until: (_, ms) => ms > 1_500 }, () => {});
    const status = await driver.done;
    assert.deepEqual([status.link, status.totals.foldedSteps], ["off", 0]);
    await folded(4);
    await coordinator.finished(job);
  });

  test("a session with another's key is refused", async () => {
    const identity = random();
    const statuses = [];
    const session = options({ url: coordinator.url, identity });
    const first = drive(wasm, session, network, {}, (event) => {
      if (event.kind === "status") statuses.push(event.status);
    });
    await until("it is open", () => statuses.at(-1)?.link === "open");
    const second = drive(wasm, session, network, {}, () => {});
    const refused = await until("the first is refused", () => statuses.find(({ link }) => link === "refused"));
    assert.ok(refused.refusal);
    for (const driver of [first, second]) {
      driver.stop();
      await driver.done;
    }
  });

  test("what a turn throws ends the session with that error", async () => {
    const thrown = new WebAssembly.RuntimeError("unreachable");
    let freed = 0;
    class Broken {
      setBandwidth() {}
      status = () => ({ link: "dialling", totals: {} });
      turn() {
        throw thrown;
      }
      free = () => (freed += 1);
    }
    const driver = drive({ ...wasm, Session: Broken }, options(), network, {}, () => {});
    await assert.rejects(driver.done, (error) => error === thrown);
    driver.stop();
    driver.pause();
    assert.equal(freed, 0);
  });
});

describe("templates", () => {
  let coordinator;
  before(async () => {
    coordinator = await startCoordinator({ program: "rollup/1", targetS: 60, minSteps: 1 });
  });
  after(() => coordinator?.close());

  const environment = (more) => ({ CROWDFOLD_URL: coordinator.url, CROWDFOLD_PAYOUT: PAYOUT, ...more });

  /** Runs a template as a program of its own, and gives what it printed. */
  async function ran(program, args, cwd, more) {
    const env = { PATH: process.env.PATH, HOME: cwd, ...environment(more) };
    const { stdout } = await promisify(execFile)(program, args, { cwd, env });
    return JSON.parse(stdout);
  }

  /** Checks that a prefix was folded within its budget, and paid for. */
  function checkPrefix(pulled, steps) {
    assert.ok(pulled.delivered, JSON.stringify(pulled));
    assert.equal(pulled.credited, pulled.steps);
    assert.ok(pulled.steps >= 1 && pulled.steps < steps, `${pulled.steps} steps`);
  }

  test("workerd folds prefixes in little memory, and keeps parameters", async (t) => {
    const steps = 200;
    const job = await coordinator.submit(await payments(steps));
    const identity = "11".repeat(32);
    const settings = { CROWDFOLD_IDENTITY: identity, CROWDFOLD_BUDGET_MS: "10000", RUN_TOKEN: "secret" };
    const worker = await startTemplate(environment(settings));
    t.after(() => worker.close());
    const run = (token) => {
      const headers = { authorization: `Bearer ${token}` };
      return fetch(`${worker.url}/run`, { method: "POST", headers });
    };
    assert.equal((await fetch(worker.url)).status, 404);
    assert.equal((await run("another")).status, 401);
    const [first, busy] = await Promise.all([run("secret"), run("secret")]);
    assert.deepEqual([first.status, busy.status].sort(), [200, 503]);
    const pulled = await (first.ok ? first : busy).json();
    checkPrefix(pulled, steps);
    const again = await (await run("secret")).json();
    checkPrefix(again, steps);
    for (const { memoryBytes } of [pulled, again]) {
      t.diagnostic(`${memoryBytes} bytes of memory`);
      assert.ok(memoryBytes <= MAX_EDGE_BYTES, `${memoryBytes} bytes of memory`);
    }
    assert.equal((await coordinator.job(job)).covered, pulled.steps + again.steps);
    await coordinator.request("DELETE", `/v1/jobs/${job}`);
  });

  test("Deno folds a prefix", async (t) => {
    const job = await coordinator.submit(await payments(200));
    const cwd = await folder(t);
    await cp(new URL("deno/", TEMPLATES), cwd, { recursive: true });
    const imports = { "@crowdfold/prover/deno": new URL("deno.js", PACKAGE).href };
    await writeFile(join(cwd, "deno.json"), JSON.stringify({ imports }));
    const arch = process.arch === "x64" ? "x64" : process.arch;
    const deno = fileURLToPath(new URL(`node_modules/@deno/linux-${arch}-glibc/deno`, ROOT));
    const allowed = ["--allow-net", "--allow-env", "--allow-read", "--allow-write=crowdfold"];
    const settings = { CROWDFOLD_DATA: "crowdfold", CROWDFOLD_BUDGET_MS: "10000" };
    const pulled = await ran(deno, ["run", "--no-remote", ...allowed, "main.ts"], cwd, settings);
    checkPrefix(pulled, 200);
    assert.equal((await readdir(join(cwd, "crowdfold/parameters"))).length, 1);
    assert.deepEqual(await readdir(join(cwd, "crowdfold/proofs")), []);
    await coordinator.request("DELETE", `/v1/jobs/${job}`);
  });

  test("Node folds a prefix", async (t) => {
    const job = await coordinator.submit(await payments(200));
    const cwd = await folder(t);
    await cp(new URL("node/", TEMPLATES), cwd, { recursive: true });
    await mkdir(join(cwd, "node_modules/@crowdfold"), { recursive: true });
    await symlink(fileURLToPath(PACKAGE), join(cwd, "node_modules/@crowdfold/prover"));
    const settings = { CROWDFOLD_IDENTITY: "22".repeat(32), CROWDFOLD_BUDGET_MS: "10000" };
    checkPrefix(await ran(process.execPath, ["main.mjs"], cwd, settings), 200);
    await coordinator.request("DELETE", `/v1/jobs/${job}`);
  });

  test("a prover that is refused says why", async () => {
    await assert.rejects(
      runOnce({ url: coordinator.url.replace("127.0.0.1", "localhost"), payout: PAYOUT, idleMs: 5_000 }),
      (error) => error instanceof Refused && error.message.length > 0,
    );
  });
});
