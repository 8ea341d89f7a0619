// Tasks that a real coordinator posts: to the handler in this process, and to the templates in Node, Deno and workerd.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createPrivateKey, createPublicKey, sign } from "node:crypto";
import { once } from "node:events";
import { cp, mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { createServer, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, mock, test } from "node:test";
import { fileURLToPath } from "node:url";

import { squarings, startCoordinator, until } from "./hosts/coordinator.mjs";
import { PACKAGES, ROOT, TEMPLATES } from "./hosts/paths.mjs";
import { startTemplate } from "./hosts/workerd.mjs";

const PACKAGE = new URL("prover/", PACKAGES);
const { createPushHandler: createHandler } = await import(new URL("push.js", PACKAGE));
const { createPushHandler, listener, load, memoryStore, workersKvStore } = await import(new URL("node.js", PACKAGE));

const DAY_MS = 86_400_000;
const address = (number) => `0x${number.toString(16).padStart(40, "0")}`;

/** A port that is free, and stays so if nobody is quick. */
async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

/** The settings of functions, as TOML. */
const functions = (all) =>
  all
    .map(({ url, payout, steps = 4, daily = 1_000 }) =>
      [
        "[[push.functions]]",
        `url = "${url}"`,
        `payout = "${payout}"`,
        `steps_per_task = ${steps}`,
        `daily_steps = ${daily}`,
        "timeout_s = 60",
      ].join("\n"),
    )
    .join("\n");

describe("a handler", () => {
  const payout = address(0xaa);
  let coordinator;
  let function_;
  let audience;
  /** A task as it came, of four steps. */
  let task;
  let key;

  before(async () => {
    // Takes one task, and keeps it.
    const bodies = [];
    function_ = createServer((request, response) => {
      const parts = [];
      request.on("data", (part) => parts.push(part));
      request.on("end", () => {
        bodies.push(new Uint8Array(Buffer.concat(parts)));
        response.writeHead(503, { "retry-after": "3600" }).end();
      });
    }).listen(0, "127.0.0.1");
    await once(function_, "listening");
    audience = `http://127.0.0.1:${function_.address().port}/push`;
    coordinator = await startCoordinator({ minSteps: 1, settings: functions([{ url: audience, payout }]) });
    key = await coordinator.pushKey();
    await coordinator.submit(squarings(40));
    task = await until("a task", () => bodies[0]);
  });
  after(async () => {
    await coordinator?.close();
    function_?.close();
  });

  const options = (more = {}) => ({
    coordinators: [{ key, url: coordinator.url }],
    audience,
    payout,
    dailySteps: 100,
    ...more,
  });
  const handler = (more) => createPushHandler(options(more));
  const posted = (body, init = {}) => new Request("http://function/", { method: "POST", body, ...init });

  /** An answer that is no proof: its status, code, and when to come again. */
  async function refused(response) {
    const { error, message } = await response.json();
    assert.ok(message.length > 0 && response.headers.get("content-type").startsWith("application/json"));
    return [response.status, error, response.headers.get("retry-after")];
  }

  async function folded(response) {
    assert.equal(response.status, 200, response.ok ? "" : await response.text());
    assert.equal(response.headers.get("content-type"), "application/octet-stream");
    assert.ok((await response.arrayBuffer()).byteLength > 100_000);
    return Number(response.headers.get("crowdfold-steps"));
  }

  test("folds a task once", async () => {
    const handle = handler();
    assert.equal(await folded(await handle(posted(task))), 4);
    assert.deepEqual(await refused(await handle(posted(task))), [409, "seen", null]);
  });

  test("folds a part where it may fold no more, and gives back what it does not use", async () => {
    assert.equal(await folded(await handler({ stepsPerTask: 3 })(posted(task))), 3);
    // Not even the first step ends in time, and it is folded all the same.
    const store = memoryStore();
    assert.equal(await folded(await handler({ budgetMs: 1, store, dailySteps: 5 })(posted(task))), 1);
    const day = Math.floor(Date.now() / DAY_MS);
    const claim = { task: "another", expiresMs: Date.now() + 1_000, day, steps: 100, dailySteps: 5 };
    assert.equal(await store.claim(claim), 4);
  });

  test("keeps to the day's budget", async () => {
    const handle = open({ dailySteps: 6 });
    assert.equal(await folded(await handle(posted(task))), 4);
    assert.equal(await folded(await handle(posted(await again({})))), 2);
    const last = await again({});
    const [status, code, wait] = await refused(await handle(posted(last)));
    assert.deepEqual([status, code], [429, "budget"]);
    assert.ok(Number(wait) > 0 && Number(wait) <= 86_400, wait);
    // It was not taken, so it may come again when there is budget.
    assert.equal((await refused(await handle(posted(last))))[0], 429);
  });

  // Fields of a task lie one after the other; those before the inputs have names here.
  function layout(bytes) {
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    let at = 0;
    const fixed = (length) => [at, (at += length)];
    const long = () => {
      const length = view.getUint32(at, true);
      return [at, (at += 4 + length)];
    };
    return {
      version: fixed(2), key: fixed(32), audience: long(), nonce: fixed(32), issued: fixed(8), expires: fixed(8),
      job: fixed(60), program: long(), parameters: fixed(32), payout: fixed(20), start: long(),
    };
  }

  const ours = createPrivateKey({
    key: Buffer.concat([Buffer.from("302e020100300506032b657004220420", "hex"), Buffer.alloc(32, 7)]),
    format: "der",
    type: "pkcs8",
  });
  const ourKey = createPublicKey(ours).export({ format: "der", type: "spki" }).subarray(-32);

  /** The task with other fields, signed by a key of the test's, that a coordinator of it may have. */
  async function again(fields, { isSigned = true } = {}) {
    const nonce = crypto.getRandomValues(new Uint8Array(32));
    const parts = [];
    let at = 0;
    for (const [name, [from, to]] of Object.entries(layout(task))) {
      const changed = { nonce, key: ourKey, ...fields }[name];
      parts.push(changed ?? task.subarray(from, to));
      at = to;
    }
    parts.push(fields.inputs ?? task.subarray(at, -64));
    const body = Buffer.concat(parts);
    const signature = sign(null, Buffer.concat([Buffer.from("crowdfold push task\0"), body]), ours);
    return new Uint8Array(Buffer.concat([body, isSigned ? signature : Buffer.alloc(64)]));
  }
  const seconds = (number) => {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64LE(BigInt(number));
    return bytes;
  };
  const long = (bytes) => {
    const length = Buffer.alloc(4);
    length.writeUInt32LE(bytes.length);
    return Buffer.concat([length, bytes]);
  };
  /** A handler that takes the tasks of the test's key too. */
  const open = (more = {}) => {
    const { url } = coordinator;
    const both = [{ key, url }, { key: `0x${ourKey.toString("hex").toUpperCase()}`, url }];
    return handler({ coordinators: both, ...more });
  };

  test("folds what other coordinators of its sign", async () => {
    assert.equal(await folded(await open()(posted(await again({})))), 4);
  });

  test("refuses what was not signed, or not for it, or not now", async () => {
    const now = Math.floor(Date.now() / 1_000);
    const none = Buffer.concat([Buffer.from([1, 0, 0, 0]), long(Buffer.alloc(5))]);
    const flipped = (at) => task.with(at < 0 ? task.length + at : at, task.at(at) ^ 1);
    const cases = [
      ["nothing", new Uint8Array(), 400, "decode"],
      ["text", new TextEncoder().encode("text"), 400, "version"],
      ["a task cut short", task.subarray(0, -1), 400, "decode"],
      ["a task continued", new Uint8Array([...task, 0]), 400, "decode"],
      ["another version", await again({ version: Buffer.from([2, 0]) }), 400, "version"],
      ["a changed signature", flipped(-1), 401, "signature"],
      ["a changed nonce", flipped(layout(task).nonce[0]), 401, "signature"],
      ["a changed state", flipped(layout(task).start[1] - 1), 401, "signature"],
      ["no signature", await again({}, { isSigned: false }), 401, "signature"],
      ["a stranger's", await again({ key: Buffer.alloc(32, 1) }), 401, "stranger"],
      ["an expired one", await again({ issued: seconds(now - 120), expires: seconds(now) }), 401, "expired"],
      ["an early one", await again({ issued: seconds(now + 90), expires: seconds(now + 100) }), 401, "early"],
      ["one for ever", await again({ expires: seconds(now + 100_000) }), 401, "lifetime"],
      ["another function's", await again({ audience: long(Buffer.from(`${audience}/`)) }), 403, "audience"],
      ["one that pays another", await again({ payout: Buffer.alloc(20, 1) }), 403, "payout"],
      ["a program that nobody has", await again({ program: long(Buffer.from("cubes/1")) }), 422, "unknownprogram"],
      ["a state that is none", await again({ start: long(Buffer.alloc(31)) }), 422, "length"],
      ["a state beyond the modulus", await again({ start: long(Buffer.alloc(32, 255)) }), 422, "decode"],
      ["inputs that are none", await again({ inputs: none }), 422, "length"],
    ];
    // One after another: each is another kind, and none may leave anything behind.
    const store = memoryStore();
    const handle = open({ store });
    assert.equal(await folded(await handle(posted(await again({})))), 4);
    for (const [name, body, status, code] of cases) {
      const found = await refused(await handle(posted(body)));
      assert.deepEqual(found.slice(0, 2), [status, code], name);
    }
    const stranger = handler({ coordinators: [{ key: "00".repeat(32), url: coordinator.url }] });
    assert.deepEqual((await refused(await stranger(posted(task)))).slice(0, 2), [401, "stranger"]);
    assert.equal(await folded(await handle(posted(await again({})))), 4);
    // All that was refused cost nothing of the budget.
    const day = Math.floor(Date.now() / DAY_MS);
    assert.equal(await store.claim({ task: "x", expiresMs: 0, day, steps: 100, dailySteps: 100 }), 92);
  });

  test("a good start is handed in though a later input is none", async () => {
    const inputs = task.subarray(layout(task).start[1], -64);
    const first = inputs.subarray(4, 4 + 36);
    const bad = Buffer.concat([Buffer.from([2, 0, 0, 0]), first, long(Buffer.alloc(5))]);
    assert.equal(await folded(await open()(posted(await again({ inputs: bad })))), 1);
  });

  test("the task expires by the function's clock", async () => {
    mock.timers.enable({ apis: ["Date"], now: Date.now() + 121_000 });
    try {
      assert.deepEqual((await refused(await handler()(posted(task)))).slice(0, 2), [401, "expired"]);
    } finally {
      mock.timers.reset();
    }
  });

  test("reads no more than a task can have, and answers nothing but posts", async () => {
    const handle = handler();
    assert.deepEqual((await refused(await handle(new Request("http://function/")))).slice(0, 2), [405, "method"]);
    const announced = posted("x", { headers: { "content-length": "99999999" } });
    assert.equal((await refused(await handle(announced)))[0], 413);
    let pulled = 0;
    const endless = new ReadableStream({
      pull(controller) {
        pulled += 1;
        controller.enqueue(new Uint8Array(2 ** 20));
      },
    });
    assert.deepEqual((await refused(await handle(posted(endless, { duplex: "half" })))).slice(0, 2), [413, "size"]);
    assert.ok(pulled < 10, `${pulled} MiB were read`);
    const broken = new ReadableStream({ pull: (controller) => controller.error(new Error("gone")) });
    assert.deepEqual((await refused(await handle(posted(broken, { duplex: "half" })))).slice(0, 2), [400, "body"]);
    assert.equal(await folded(await handle(posted(task))), 4);
  });

  test("folds one task at a time", async () => {
    const handle = open();
    const [one, other] = await Promise.all([handle(posted(await again({}))), handle(posted(await again({})))]);
    const [good, bad] = one.ok ? [one, other] : [other, one];
    assert.equal(await folded(good), 4);
    assert.deepEqual((await refused(bad)).slice(0, 2), [503, "busy"]);
    assert.equal(await folded(await handle(posted(await again({})))), 4);
  });

  test("gives up a task whose coordinator is gone", async () => {
    const store = memoryStore();
    const gone = new AbortController();
    const response = open({ store })(posted(await again({}), { signal: gone.signal }));
    gone.abort();
    const { status } = await response.catch(() => ({ status: 503 }));
    assert.equal(status, 503);
  });

  test("says when parameters or its store can't be had, and is good again then", async () => {
    const notes = [];
    const note = (text) => notes.push(text);
    const nowhere = open({ coordinators: [{ key: ourKey.toString("hex"), url: "http://127.0.0.1:9" }], note });
    assert.deepEqual(await refused(await nowhere(posted(await again({})))), [503, "parameters", "30"]);
    let isBroken = true;
    const memory = memoryStore();
    const store = {
      ...memory,
      claim: async (claim) => {
        if (isBroken) throw new Error("no store");
        return memory.claim(claim);
      },
    };
    const handle = open({ store, note });
    assert.deepEqual(await refused(await handle(posted(await again({})))), [503, "store", "30"]);
    isBroken = false;
    assert.equal(await folded(await handle(posted(await again({})))), 4);
    assert.equal(notes.length, 2);
  });

  test("keeps parameters, and fetches them again where what was kept is damaged", async () => {
    const kept = new Map();
    const asked = [];
    const cache = {
      get: async (url) => (asked.push(url), kept.get(url)),
      put: async (url, bytes) => void kept.set(url, bytes),
    };
    assert.equal(await folded(await open({ cache })(posted(await again({})))), 4);
    const [[url, bytes]] = [...kept];
    assert.match(url, /\/v1\/parameters\/[0-9a-f]{64}\/fold$/);
    kept.set(url, bytes.with(500, bytes[500] ^ 1));
    const handle = open({ cache });
    assert.equal(await folded(await handle(posted(await again({})))), 4);
    assert.deepEqual(kept.get(url), bytes);
    // One that is loaded is not looked for.
    assert.equal(await folded(await handle(posted(await again({})))), 4);
    assert.equal(asked.length, 2);
  });

  test("goes on after a trap with another instance", async () => {
    const wasm = await load();
    let traps = 1;
    const notes = [];
    class Trapping extends wasm.Prover {
      constructor(...args) {
        super(...args);
        if (traps-- > 0) throw new WebAssembly.RuntimeError("unreachable");
      }
    }
    const broken = { PushTask: wasm.PushTask, Prover: Trapping, __wbg_reset_state: wasm.__wbg_reset_state };
    const both = [{ key: ourKey.toString("hex"), url: coordinator.url }];
    const handle = createHandler(() => broken, options({ coordinators: both, note: (text) => notes.push(text) }));
    assert.deepEqual(await refused(await handle(posted(await again({})))), [503, "failed", "30"]);
    assert.equal(notes.length, 1);
    const after = createHandler(() => wasm, options({ coordinators: both }));
    assert.equal(await folded(await after(posted(await again({})))), 4);
  });

  test("options that can't be", () => {
    const wrong = [
      { coordinators: [] },
      { coordinators: [{ key, url: "prove.example" }] },
      { coordinators: [{ key, url: "https://prove.example/path" }] },
      { audience: "push" },
      { dailySteps: 0 },
      { dailySteps: 1.5 },
      { dailySteps: undefined },
      { budgetMs: 0 },
      { stepsPerTask: 0 },
    ];
    for (const more of wrong) assert.throws(() => handler(more), RangeError, JSON.stringify(more));
  });

  test("Workers KV remembers tasks and the budget of a day", async () => {
    const kv = new Map();
    const store = workersKvStore({
      get: async (name) => kv.get(name) ?? null,
      put: async (name, value, { expirationTtl }) => {
        assert.ok(expirationTtl >= 60);
        kv.set(name, value);
      },
    });
    const claim = { task: "a", expiresMs: Date.now() + 5_000, day: 9, steps: 4, dailySteps: 6 };
    assert.equal(await store.claim(claim), 4);
    assert.equal(await store.claim(claim), "seen");
    assert.equal(await store.claim({ ...claim, task: "b" }), 2);
    assert.equal(await store.claim({ ...claim, task: "c" }), 0);
    await store.giveBack(9, 1);
    assert.equal(await store.claim({ ...claim, task: "c" }), 1);
    assert.equal(await store.claim({ ...claim, task: "d", day: 10 }), 4);
  });
});

describe("templates", () => {
  const names = ["node", "deno", "workerd"];
  /** Steps that a function folds in a day. */
  const DAILY = 30;
  const running = [];
  let coordinator;
  let places;

  before(async () => {
    places = {};
    for (const [i, name] of names.entries()) {
      const port = await freePort();
      const place = { port, to: `http://127.0.0.1:${port}/`, payout: address(0xa0 + i), steps: 4, passed: [] };
      places[name] = { ...place, ...(await relay(place)) };
    }
    coordinator = await startCoordinator({ minSteps: 1, settings: functions(Object.values(places)) });
    const key = await coordinator.pushKey();
    const env = (name) => ({
      CROWDFOLD_URL: coordinator.url,
      CROWDFOLD_PUSH_KEY: key,
      CROWDFOLD_AUDIENCE: places[name].url,
      CROWDFOLD_PAYOUT: places[name].payout,
      CROWDFOLD_DAILY_STEPS: String(DAILY),
      CROWDFOLD_BUDGET_MS: "20000",
    });
    await startIn("node", process.execPath, ["push.mjs"], env("node"));
    const arch = process.arch === "x64" ? "x64" : process.arch;
    const deno = fileURLToPath(new URL(`node_modules/@deno/linux-${arch}-glibc/deno`, ROOT));
    const allowed = ["--unstable-kv", "--no-remote", "--allow-net", "--allow-env", "--allow-read"];
    await startIn("deno", deno, ["run", ...allowed, "push.ts"], { ...env("deno"), CROWDFOLD_KV: ":memory:" });
    running.push(await startTemplate(env("workerd"), "push.js", { port: places.workerd.port, ledger: true }));
    for (const name of names) {
      await until(`${name} answers`, () => fetch(places[name].to).then(({ status }) => status === 405, () => false));
    }
  });
  after(async () => {
    await coordinator?.close();
    for (const { close } of running) await close();
  });

  /** What lies between a coordinator and a function: keeps what goes by. */
  async function relay({ to, passed }) {
    const server = createServer(
      listener(async (asked) => {
        const body = new Uint8Array(await asked.arrayBuffer());
        const answer = await fetch(to, { method: "POST", body });
        passed.push({ body, status: answer.status });
        const headers = ["content-type", "crowdfold-steps", "retry-after"].flatMap((name) => {
          const value = answer.headers.get(name);
          return value === null ? [] : [[name, value]];
        });
        return new Response(await answer.arrayBuffer(), { status: answer.status, headers });
      }),
    ).listen(0, "127.0.0.1");
    await once(server, "listening");
    running.push({ close: async () => void server.close() });
    return { url: `http://127.0.0.1:${server.address().port}/` };
  }

  /** Starts a template as a program of its own. */
  async function startIn(name, program, args, env) {
    const cwd = await mkdtemp(join(tmpdir(), "crowdfold-push-"));
    await cp(new URL(`${name}/`, TEMPLATES), cwd, { recursive: true });
    await mkdir(join(cwd, "node_modules/@crowdfold"), { recursive: true });
    await symlink(fileURLToPath(PACKAGE), join(cwd, "node_modules/@crowdfold/prover"));
    const imports = { "@crowdfold/prover/deno": new URL("deno.js", PACKAGE).href };
    await writeFile(join(cwd, "deno.json"), JSON.stringify({ imports }));
    const all = { PATH: process.env.PATH, HOME: cwd, HOST: "127.0.0.1", PORT: String(places[name].port), ...env };
    const child = spawn(program, args, { cwd, env: all, stdio: ["ignore", "ignore", "inherit"] });
    const kill = () => child.kill("SIGKILL");
    process.once("exit", kill);
    running.push({
      async close() {
        if (child.exitCode === null && child.signalCode === null) {
          kill();
          await once(child, "exit");
        }
        process.off("exit", kill);
        await rm(cwd, { recursive: true, force: true });
      },
    });
  }

  /** The status of an answer to a task of so many bytes, of which none is sent. */
  async function announced(to, length) {
    const asked = request(to, { method: "POST", headers: { "content-length": length } });
    asked.flushHeaders();
    const [answer] = await once(asked, "response");
    asked.destroy();
    return answer.statusCode;
  }

  const metrics = async () => (await coordinator.request("GET", "/metrics")).text();

  test("all fold a job together, and are paid", async (t) => {
    const job = await coordinator.submit(squarings(36));
    await coordinator.finished(job);
    const { leaders } = await coordinator.json("/v1/leaderboard?by=address");
    for (const name of names) {
      const { credit = 0 } = leaders.find(({ payout }) => payout === places[name].payout) ?? {};
      t.diagnostic(`${name}: ${credit} rows`);
      assert.ok(credit > 0, `${name} has folded nothing: ${coordinator.log}`);
    }
    assert.match(await metrics(), /pushes_total\{outcome="whole"\} \d/);
    assert.doesNotMatch(await metrics(), /pushes_total\{outcome="(failed|refused|late)"\}/);
  });

  for (const name of names) {
    test(`${name} folds a task once, and nothing that is none`, async () => {
      const { to, passed } = places[name];
      const said = async (body) => {
        const answer = await fetch(to, { method: "POST", body });
        return [answer.status, (await answer.json()).error];
      };
      // On a busy machine some came while another was being folded, and were not taken.
      const folded = passed.filter(({ status }) => status === 200).map(({ body }) => body);
      assert.ok(folded.length > 0);
      for (const body of folded) assert.deepEqual(await said(body), [409, "seen"]);
      const changed = folded[0].with(-1, folded[0].at(-1) ^ 1);
      assert.deepEqual(await said(changed), [401, "signature"]);
      assert.deepEqual(await said("text"), [400, "version"]);
      assert.equal(await announced(to, 2 ** 23), 413);
    });
  }

  test("all keep to their budgets", async () => {
    const job = await coordinator.submit(squarings(200));
    const isOver = (name) => places[name].passed.some(({ status }) => status === 429);
    for (const name of names) await until(`${name} has no more`, () => isOver(name));
    const { covered } = await coordinator.job(job);
    assert.ok(36 + covered <= names.length * DAILY, `${covered} steps`);
    assert.match(await metrics(), /pushes_total\{outcome="busy"\} \d/);
  });
});
