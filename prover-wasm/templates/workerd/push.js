// A function that a coordinator posts tasks to, in a Worker. `env` has what wrangler.push.toml says.

import { createPushHandler, durableObjectStore, PushLedger } from "@crowdfold/prover/workerd";

export { PushLedger };

let handler;

export default {
  fetch(request, env) {
    handler ??= createPushHandler({
      coordinators: [{ key: env.CROWDFOLD_PUSH_KEY, url: env.CROWDFOLD_URL }],
      audience: env.CROWDFOLD_AUDIENCE,
      payout: env.CROWDFOLD_PAYOUT,
      dailySteps: Number(env.CROWDFOLD_DAILY_STEPS),
      budgetMs: Number(env.CROWDFOLD_BUDGET_MS),
      store: durableObjectStore(env.LEDGER),
      note: (text) => console.log(text),
    });
    return handler(request);
  },
};
