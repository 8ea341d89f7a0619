// A function that a coordinator posts tasks to, in Deno.

import { createPushHandler, denoKvStore } from "@crowdfold/prover/deno";

function setting(name: string): string {
  const value = Deno.env.get(name);
  if (!value) throw new Error(`${name} is not set`);
  return value;
}

const handler = createPushHandler({
  coordinators: [{ key: setting("CROWDFOLD_PUSH_KEY"), url: setting("CROWDFOLD_URL") }],
  audience: setting("CROWDFOLD_AUDIENCE"),
  payout: setting("CROWDFOLD_PAYOUT"),
  dailySteps: Number(setting("CROWDFOLD_DAILY_STEPS")),
  budgetMs: Number(Deno.env.get("CROWDFOLD_BUDGET_MS") ?? 20_000),
  store: denoKvStore(await Deno.openKv(Deno.env.get("CROWDFOLD_KV"))),
  note: (text) => console.error(text),
});

Deno.serve({ hostname: Deno.env.get("HOST") ?? "0.0.0.0", port: Number(Deno.env.get("PORT") ?? 8000) }, handler);
