// Runs a package in this Node process.

import { readFile } from "node:fs/promises";

import { commands } from "../commands.mjs";
import { PACKAGES, STEM } from "./paths.mjs";

/** Instantiates the package of `variant`; the module's raw exports come along as `exports`. */
export async function loadInNode(variant) {
  const folder = new URL(`${variant}/`, PACKAGES);
  const prover = await import(new URL(`${STEM}.js`, folder));
  const exports = prover.initSync({ module: await readFile(new URL(`${STEM}_bg.wasm`, folder)) });
  return { prover, exports };
}

/** The package of `variant` with the parameters at the URL `parameters`, as a host. */
export async function startNode(variant, parameters) {
  const { prover } = await loadInNode(variant);
  let known;
  return {
    async call(command, args) {
      if (command === "load") known = commands(prover, args, new Uint8Array(await readFile(parameters)));
      return known[command === "load" ? "about" : command](args);
    },
  };
}
