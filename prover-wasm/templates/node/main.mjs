// A prover in Node: folds one prefix and ends.

import { runOnce } from "@crowdfold/prover/node";

function setting(name) {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set`);
  return value;
}

const done = await runOnce({
  url: setting("CROWDFOLD_URL"),
  payout: setting("CROWDFOLD_PAYOUT"),
  identity: process.env.CROWDFOLD_IDENTITY,
  // Without a folder there is no identity but that of the environment, and what is not delivered is lost.
  folder: process.env.CROWDFOLD_DATA,
  budgetMs: Number(process.env.CROWDFOLD_BUDGET_MS ?? 20_000),
  on: (event) => event.kind === "note" && console.error(event.text),
});
console.log(JSON.stringify(done));
