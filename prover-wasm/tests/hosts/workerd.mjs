// Runs a Worker in workerd, the runtime of Cloudflare Workers.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { copyFile, mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

import { PACKAGES, ROOT, STEM, TEMPLATES, TESTS } from "./paths.mjs";

// npm's package of the program itself. The `workerd` package around it can't be locked where a registry has only some of its
// platforms, and its `bin` script doesn't pass signals on.
const ARCH = process.arch === "x64" ? "64" : process.arch;
const PROGRAM = fileURLToPath(new URL(`node_modules/@cloudflare/workerd-${process.platform}-${ARCH}/bin/workerd`, ROOT));

const KINDS = { js: "esModule", mjs: "esModule", wasm: "wasm", params: "data" };

/**
 * The configuration of a Worker, whose modules lie beside it under their numbers.
 *
 * @param {string[]} modules names, the first one the Worker's own
 * @param {Record<string, string>} bindings texts in its environment
 * @param {{port?: number, ledger?: boolean}} options where it listens, and whether it has Durable Objects of `PushLedger`
 */
function config(modules, bindings, { port = 0, ledger = false }) {
  const text = JSON.stringify;
  const module = (name, i) => `(name = ${text(name)}, ${KINDS[kindOf(name)]} = embed "${i}")`;
  const all = Object.entries(bindings).map(([name, value]) => `(name = ${text(name)}, text = ${text(value)})`);
  if (ledger) all.push(`(name = "LEDGER", durableObjectNamespace = "PushLedger")`);
  const objects = `
  durableObjectNamespaces = [(className = "PushLedger", uniqueKey = "crowdfold-push-ledger")],
  durableObjectStorage = (localDisk = "objects"),`;
  const disk = `(name = "objects", disk = (path = "objects", writable = true)),`;
  return `
using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    (name = "main", worker = .worker),
    (name = "internet", network = (allow = ["public", "private"])),
    ${ledger ? disk : ""}
  ],
  sockets = [(name = "http", address = "127.0.0.1:${port}", http = (), service = "main")],
);

const worker :Workerd.Worker = (
  modules = [${modules.map(module).join(", ")}],
  bindings = [${all.join(", ")}],${ledger ? objects : ""}
  compatibilityDate = "2026-11-01",
);
`;
}

/** A module's kind is that of its file; one without an ending is JavaScript. */
function kindOf(name) {
  const ending = /\.(\w+)$/.exec(name)?.[1] ?? "js";
  return ending in KINDS ? ending : "js";
}

/** The port that workerd reports on its control pipe, once it listens. */
async function listening(child) {
  const errors = [];
  child.stderr.on("data", (text) => errors.push(text));
  for await (const line of createInterface({ input: child.stdio[3] })) {
    const event = JSON.parse(line);
    if (event.event === "listen") return event.port;
  }
  throw new Error(`workerd stopped before it listened:\n${errors.join("")}`);
}

/**
 * Starts a Worker.
 *
 * @param {Record<string, URL>} modules file of each module, the Worker's own first
 * @param {Record<string, string>} bindings texts in its environment
 * @param {{port?: number, ledger?: boolean}} options as of `config`
 */
async function startWorker(modules, bindings, options = {}) {
  if (!existsSync(PROGRAM)) throw new Error(`no workerd at ${PROGRAM}: run \`./just setup\`, on Linux`);
  // The configuration can only embed files that lie beside it.
  const folder = await mkdtemp(join(tmpdir(), "crowdfold-workerd-"));
  await Promise.all(Object.values(modules).map((from, i) => copyFile(from, join(folder, String(i)))));
  await mkdir(join(folder, "objects"));
  await writeFile(join(folder, "config.capnp"), config(Object.keys(modules), bindings, options));
  const child = spawn(PROGRAM, ["serve", "--control-fd=3", "config.capnp"], {
    cwd: folder,
    stdio: ["ignore", "inherit", "pipe", "pipe"],
  });
  const stopped = once(child, "exit");
  const kill = () => child.kill("SIGKILL");
  process.once("exit", kill);
  async function close() {
    child.kill();
    await stopped;
    process.off("exit", kill);
    await rm(folder, { recursive: true });
  }
  try {
    return { url: `http://127.0.0.1:${await listening(child)}`, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Starts workerd with the package of `variant` and the parameters at the URL `parameters`, as a host. */
export async function startWorkerd(variant, parameters) {
  const { url, close } = await startWorker(
    {
      "edge.mjs": new URL("hosts/edge.mjs", TESTS),
      "commands.mjs": new URL("commands.mjs", TESTS),
      "prover.js": new URL(`${variant}/${STEM}.js`, PACKAGES),
      "prover.wasm": new URL(`${variant}/${STEM}_bg.wasm`, PACKAGES),
      "prover.params": parameters,
    },
    {},
  );
  return {
    async call(command, args) {
      const response = await fetch(url, { method: "POST", body: JSON.stringify({ command, args }) });
      if (!response.ok) throw new Error(await response.text());
      const isJson = response.headers.get("Content-Type")?.startsWith("application/json");
      return isJson ? response.json() : new Uint8Array(await response.arrayBuffer());
    },
    close,
  };
}

/**
 * Starts workerd with the template of a Worker and the whole package.
 *
 * @param {Record<string, string>} env the Worker's environment
 * @param {string} name of the template's file
 * @param {{port?: number, ledger?: boolean}} options as of `config`
 */
export async function startTemplate(env, name = "worker.js", options = {}) {
  const whole = new URL("prover/", PACKAGES);
  const modules = { [name]: new URL(`workerd/${name}`, TEMPLATES) };
  // The name by which it is imported is resolved like a path.
  modules["@crowdfold/prover/workerd"] = new URL("workerd.js", whole);
  for (const name of await readdir(whole)) {
    if (name.endsWith(".js")) modules[`@crowdfold/prover/${name}`] = new URL(name, whole);
  }
  for (const name of [`${STEM}.js`, `${STEM}_bg.wasm`]) {
    modules[`@crowdfold/prover/wasm/edge/${name}`] = new URL(`wasm/edge/${name}`, whole);
  }
  return startWorker(modules, env, options);
}
