// A function that a coordinator posts tasks to, in Node.

import { createServer } from "node:http";

import { createPushHandler, listener } from "@crowdfold/prover/node";

function setting(name) {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set`);
  return value;
}

const handler = createPushHandler({
  coordinators: [{ key: setting("CROWDFOLD_PUSH_KEY"), url: setting("CROWDFOLD_URL") }],
  audience: setting("CROWDFOLD_AUDIENCE"),
  payout: setting("CROWDFOLD_PAYOUT"),
  dailySteps: Number(setting("CROWDFOLD_DAILY_STEPS")),
  budgetMs: Number(process.env.CROWDFOLD_BUDGET_MS ?? 20_000),
  note: (text) => console.error(text),
});

const server = createServer(listener(handler));
server.listen(Number(process.env.PORT ?? 8000), process.env.HOST, () => console.log(server.address().port));
