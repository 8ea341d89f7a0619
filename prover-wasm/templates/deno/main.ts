// A prover in Deno: folds one prefix and ends; on Deno Deploy, one at each tick of its cron.

import { runOnce } from "@crowdfold/prover/deno";

function setting(name: string): string {
  const value = Deno.env.get(name);
  if (!value) throw new Error(`${name} is not set`);
  return value;
}

async function run(): Promise<void> {
  const done = await runOnce({
    url: setting("CROWDFOLD_URL"),
    payout: setting("CROWDFOLD_PAYOUT"),
    identity: Deno.env.get("CROWDFOLD_IDENTITY"),
    // Without a folder there is no identity but that of the environment, and what is not delivered is lost.
    folder: Deno.env.get("CROWDFOLD_DATA"),
    budgetMs: Number(Deno.env.get("CROWDFOLD_BUDGET_MS") ?? 20_000),
    on: (event) => event.kind === "note" && console.error(event.text),
  });
  console.log(JSON.stringify(done));
}

if (Deno.env.get("DENO_DEPLOYMENT_ID")) Deno.cron("fold a prefix", "*/5 * * * *", run);
else await run();
