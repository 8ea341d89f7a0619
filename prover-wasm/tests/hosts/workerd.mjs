// Runs a package in workerd, the runtime of Cloudflare Workers.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { copyFile, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath, pathToFileURL } from "node:url";

import { PACKAGES, ROOT, STEM, TESTS } from "./paths.mjs";

const CONFIG = `
using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [(name = "main", worker = .worker)],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
);

const worker :Workerd.Worker = (
  modules = [
    (name = "edge.mjs", esModule = embed "edge.mjs"),
    (name = "commands.mjs", esModule = embed "commands.mjs"),
    (name = "prover.js", esModule = embed "prover.js"),
    (name = "prover.wasm", wasm = embed "prover.wasm"),
    (name = "prover.params", data = embed "prover.params"),
  ],
  compatibilityDate = "2026-11-01",
);
`;

// npm's package of the program itself. The `workerd` package around it can't be locked where a registry has only some of its
// platforms, and its `bin` script doesn't pass signals on.
const ARCH = process.arch === "x64" ? "64" : process.arch;
const PROGRAM = fileURLToPath(new URL(`node_modules/@cloudflare/workerd-${process.platform}-${ARCH}/bin/workerd`, ROOT));

/** Writes what workerd needs into a folder of its own: its configuration can only embed files that lie beside it. */
async function lay(variant, parameters) {
  const folder = await mkdtemp(join(tmpdir(), "crowdfold-workerd-"));
  const files = {
    "edge.mjs": new URL("hosts/edge.mjs", TESTS),
    "commands.mjs": new URL("commands.mjs", TESTS),
    "prover.js": new URL(`${variant}/${STEM}.js`, PACKAGES),
    "prover.wasm": new URL(`${variant}/${STEM}_bg.wasm`, PACKAGES),
    "prover.params": parameters,
  };
  const to = pathToFileURL(`${folder}/`);
  await Promise.all(Object.entries(files).map(([name, from]) => copyFile(from, new URL(name, to))));
  await writeFile(new URL("config.capnp", to), CONFIG);
  return folder;
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

/** Starts workerd with the package of `variant` and the parameters at the URL `parameters`, as a host. */
export async function startWorkerd(variant, parameters) {
  if (!existsSync(PROGRAM)) throw new Error(`no workerd at ${PROGRAM}: run \`./just setup\`, on Linux`);
  const folder = await lay(variant, parameters);
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
    const port = await listening(child);
    return {
      async call(command, args) {
        const body = JSON.stringify({ command, args });
        const response = await fetch(`http://127.0.0.1:${port}/`, { method: "POST", body });
        if (!response.ok) throw new Error(await response.text());
        const isJson = response.headers.get("Content-Type")?.startsWith("application/json");
        return isJson ? response.json() : new Uint8Array(await response.arrayBuffer());
      },
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}
