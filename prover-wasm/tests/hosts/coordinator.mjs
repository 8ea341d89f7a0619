// A real coordinator in a process of its own: `cargo build -p crowdfold-coordinator` makes it, `./just test` did.

import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { ROOT, TARGET } from "./paths.mjs";

const CHECK_MS = 50;
/** What is waited for comes in a moment; far later only where something is stuck. */
const PATIENCE_MS = 240_000;

const path = (relative) => fileURLToPath(new URL(relative, TARGET));

function binary(name) {
  const found = path(`debug/${name}`);
  if (!existsSync(found)) throw new Error(`there is no ${found}: run \`cargo build --workspace --bins\``);
  return found;
}

const run = async (name, ...args) => (await promisify(execFile)(binary(name), args)).stdout;

/** Makes parameters of a program that are not there yet. All tests share them, in every run. */
async function makeParameters(program) {
  const name = `${program.replaceAll("/", "+")}.params`;
  // A file of an older circuit has another digest, and is made again with the circuit's version.
  const version = (await readFile(new URL("CIRCUIT_VERSION", ROOT), "utf8")).trim();
  const folder = path(`coordinator-params/${version}/${name.slice(0, -".params".length)}`);
  if (existsSync(join(folder, name))) return folder;
  const powers = path("srs/INSECURE-dev-65536.ptau");
  if (!existsSync(powers)) await run("xtask", "srs", "dev");
  // Nobody ever sees a part of it.
  const scratch = `${folder}.${process.pid}`;
  await mkdir(scratch, { recursive: true });
  await run("coordinator", "params", "make", program, "--srs", powers, "--out", scratch);
  await rename(scratch, folder).catch(() => rm(scratch, { recursive: true }));
  return folder;
}

/** Waits until `check` gives something that is not undefined. */
export async function until(what, check, patienceMs = PATIENCE_MS) {
  const deadline = Date.now() + patienceMs;
  for (;;) {
    const found = await check();
    if (found !== undefined && found !== false) return found;
    if (Date.now() > deadline) throw new Error(`${what}: not within ${patienceMs / 1_000} s`);
    await new Promise((resolve) => setTimeout(resolve, CHECK_MS));
  }
}

/** Bytes of a job of squarings that starts at 3 and has the inputs 1, 2, 3, ... */
export function squarings(steps) {
  const element = (number) => `0x${number.toString(16)}`;
  return JSON.stringify({ start: "0x3", inputs: Array.from({ length: steps }, (_, i) => element(i + 1)) });
}

/** Bytes of a job of the rollup: a batch of so many steps of three payments each; the last one is the batch's seal. */
export async function payments(steps) {
  const folder = await mkdtemp(join(tmpdir(), "crowdfold-payments-"));
  const at = (name) => join(folder, name);
  const rollup = (...args) => run("crowdfold-rollup", ...args);
  const domain = ["--chain-id=31337", `--contract=0x${"0".repeat(40)}`];
  try {
    const count = `--transactions=${3 * steps - 1}`;
    await rollup("workload", "--seed=1", "--accounts=1000", count, ...domain, "--out", folder);
    await rollup("genesis", "--accounts", at("genesis.json"), "--operator=0", ...domain, "--out", at("store"));
    const files = ["--store", at("store"), "--transactions", at("transactions.json"), "--out", at("batch")];
    await rollup("batch", "build", "--strict", ...files);
    return await readFile(at("batch"));
  } finally {
    await rm(folder, { recursive: true });
  }
}

/**
 * Starts a coordinator on a free port. The parameters of its program are made if they are not there.
 *
 * @param {object} options
 * @param {string} [options.program] that it proves, as `squarings/1/100`
 * @param {number} [options.targetS] seconds that a segment should take its prover
 * @param {number} [options.minSteps] steps of a segment at least
 * @param {string[]} [options.origins] origins by which provers may dial, beside the listener's own
 * @param {string} [options.settings] more settings, as TOML
 */
export async function startCoordinator(options = {}) {
  const { program = "squarings/1/100", targetS = 10, minSteps = 4, origins = [], settings = "" } = options;
  const params = await makeParameters(program);
  const folder = await mkdtemp(join(tmpdir(), "crowdfold-coordinator-"));
  const data = join(folder, "data");
  const config = join(folder, "coordinator.toml");
  const text = JSON.stringify;
  const lines = [
    `[server]\ndata = ${text(data)}\nparams = ${text(params)}\norigins = ${text(origins)}`,
    `[scheduler]\ntarget_s = ${targetS}\nmin_steps = ${minSteps}`,
    `[requests]\nper_second = 0`,
    settings,
  ];
  await writeFile(config, lines.join("\n"));
  const token = (await run("coordinator", "client", "add", "test", "--admin", "--data", data)).trim();
  let log = "";
  let child;
  let port = 0;
  const kill = () => child.kill("SIGKILL");

  async function start() {
    const args = ["serve", "--config", config, "--listen", `127.0.0.1:${port}`];
    child = spawn(binary("coordinator"), args, { stdio: ["ignore", "pipe", "pipe"] });
    process.once("exit", kill);
    child.stderr.on("data", (text) => (log += text));
    for await (const line of createInterface({ input: child.stdout })) {
      const found = /^listening on http:\/\/127\.0\.0\.1:(\d+)$/.exec(line.trim());
      if (found) {
        port = Number(found[1]);
        return;
      }
    }
    throw new Error(`the coordinator stopped before it listened:\n${log}`);
  }

  async function end(signal) {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const stopped = once(child, "exit");
    child.kill(signal);
    await stopped;
    process.off("exit", kill);
  }

  async function request(method, route, body, type = "application/json") {
    const headers = { authorization: `Bearer ${token}`, ...(body && { "content-type": type }) };
    const answer = await fetch(`http://127.0.0.1:${port}${route}`, { method, headers, body });
    if (!answer.ok) throw new Error(`${method} ${route}: ${answer.status} ${await answer.text()}`);
    return answer;
  }

  try {
    await start();
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
  return {
    program,
    token,
    /** Address of the running coordinator, and its origin. */
    get url() {
      return `http://127.0.0.1:${port}`;
    },
    /** The key with which it signs tasks for functions. */
    pushKey: async () => (await run("coordinator", "push", "key", "--data", data)).trim(),
    /** What it wrote on standard error so far. */
    get log() {
      return log;
    },
    request,
    json: async (route) => (await request("GET", route)).json(),
    /** Orders a job: JSON text, or bytes. Gives its number. */
    async submit(body) {
      const type = typeof body === "string" ? "application/json" : "application/octet-stream";
      const route = `/v1/jobs?program=${encodeURIComponent(program)}`;
      return (await (await request("POST", route, body, type)).json()).job;
    },
    job: async (job) => (await request("GET", `/v1/jobs/${job}`)).json(),
    /** Waits until a job is done, and gives it. */
    async finished(job, patienceMs) {
      const found = await until(
        `job ${job}`,
        async () => {
          const seen = await (await request("GET", `/v1/jobs/${job}`)).json();
          return seen.state !== "open" && seen;
        },
        patienceMs,
      );
      if (found.state !== "done") throw new Error(`job ${job}: ${JSON.stringify(found)}\n${log}`);
      return found;
    },
    /** Ends it in order, or as `kill -9`. `restart` starts it again on the same port, with what it stored. */
    stop: () => end("SIGTERM"),
    kill: () => end("SIGKILL"),
    async restart() {
      await end("SIGTERM");
      await start();
    },
    async close() {
      await end("SIGKILL");
      await rm(folder, { recursive: true, force: true });
    },
  };
}
