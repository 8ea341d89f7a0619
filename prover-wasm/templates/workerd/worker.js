// A prover in a Worker. `env` has what wrangler.toml and the secrets say.

import { Busy, Refused, runOnce } from "@crowdfold/prover/workerd";

const prove = (env) =>
  runOnce({
    url: env.CROWDFOLD_URL,
    identity: env.CROWDFOLD_IDENTITY,
    payout: env.CROWDFOLD_PAYOUT,
    budgetMs: Number(env.CROWDFOLD_BUDGET_MS),
    on: (event) => event.kind === "note" && console.log(event.text),
  });

/** Compares digests, so that the time that it takes tells nothing about the token. */
async function isAllowed(request, token) {
  const digest = async (text) => new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
  const [given, wanted] = await Promise.all([
    digest(request.headers.get("authorization") ?? ""),
    digest(`Bearer ${token}`),
  ]);
  return Boolean(token) && given.every((byte, i) => byte === wanted[i]);
}

export default {
  /** A tick of the trigger. */
  async scheduled(_, env) {
    console.log(JSON.stringify(await prove(env)));
  },

  /** `POST /run` with the token does what a tick does, and answers with what came of it. */
  async fetch(request, env) {
    if (request.method !== "POST" || new URL(request.url).pathname !== "/run") {
      return new Response("POST /run folds a prefix.\n", { status: 404 });
    }
    if (!(await isAllowed(request, env.RUN_TOKEN))) return new Response("The token is not right.\n", { status: 401 });
    try {
      return Response.json(await prove(env));
    } catch (error) {
      const status = error instanceof Busy ? 503 : error instanceof Refused ? 403 : 500;
      return Response.json({ error: error.message }, { status });
    }
  },
};
