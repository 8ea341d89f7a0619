// The worker of page.html: loads a package and runs commands.

import { commands } from "../commands.mjs";

let known = {};

async function load({ variant, threads, parameters, ...names }) {
  const exports = await import(`/target/pkg/${variant}/crowdfold_prover.js`);
  await exports.default();
  await exports.initThreadPool?.(threads);
  const response = await fetch(`/target/${parameters}`);
  if (!response.ok) throw new Error(`no parameters at ${parameters}`);
  known = commands(exports, names, await response.bytes());
  return known.about();
}

self.onmessage = async ({ data: { id, command, args } }) => {
  try {
    const result = command === "load" ? await load(args) : known[command](args);
    self.postMessage({ id, result });
  } catch (error) {
    self.postMessage({ id, error: String(error?.stack ?? error) });
  }
};
