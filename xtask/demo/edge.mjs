// An edge function of the demonstration: the template of a Worker in workerd, which folds a prefix each time that it is
// called. What calls it in production is a trigger.
//
//   node edge.mjs COORDINATOR PAYOUT
//
// It is called again and again until standard input ends.

import { randomBytes } from "node:crypto";

import { startTemplate } from "../../prover-wasm/tests/hosts/workerd.mjs";

/** Milliseconds of an invocation in which steps are begun, and before the next one after a failure. */
const BUDGET_MS = 20_000;
const PAUSE_MS = 1_000;

const [url, payout] = process.argv.slice(2);
const token = randomBytes(16).toString("hex");
let isOver = false;

const worker = await startTemplate({
  CROWDFOLD_URL: url,
  CROWDFOLD_PAYOUT: payout,
  CROWDFOLD_IDENTITY: randomBytes(32).toString("hex"),
  CROWDFOLD_BUDGET_MS: String(BUDGET_MS),
  RUN_TOKEN: token,
});
process.stdin.resume();
process.stdin.once("end", async () => {
  isOver = true;
  await worker.close();
});

while (!isOver) {
  try {
    const answer = await fetch(`${worker.url}/run`, { method: "POST", headers: { authorization: `Bearer ${token}` } });
    console.log(await answer.text());
    if (!answer.ok) await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  } catch (error) {
    if (!isOver) throw error;
  }
}
