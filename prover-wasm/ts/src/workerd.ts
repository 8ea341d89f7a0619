// The prover in a Cloudflare Worker, or in workerd elsewhere: one prefix an invocation. The module is imported
// statically, because Workers may not compile one, and takes at most 112 MiB of the 128 MB that an isolate gets.

import { download } from "./download.js";
import type { Host } from "./drive.js";
import { pull } from "./pull.js";
import type { Pulled, PullOptions } from "./pull.js";
import { createPushHandler as createHandler } from "./push.js";
import type { PushHandler, PushOptions } from "./push.js";
import * as wasm from "./wasm/edge/crowdfold_prover.js";
import module from "./wasm/edge/crowdfold_prover_bg.wasm";

export type { DriveEvent } from "./drive.js";
export { Refused } from "./pull.js";
export type { Pulled, PullOptions } from "./pull.js";
export * from "./push-stores.js";
export type { PushCache, PushCoordinator, PushHandler, PushOptions } from "./push.js";
export type * from "./types.js";

/** Memory that the module may take. */
const MEMORY_BYTES = 112 * 2 ** 20;
/** Milliseconds after which an invocation that did not end is taken for one that its host cut off. */
const CUT_OFF_MS = 15 * 60_000;

wasm.initSync({ module });

/** When the invocation under way began: an isolate serves several, and has memory for one. */
let busySince: number | undefined;

/** Another invocation is folding in this isolate. */
export class Busy extends Error {
  override name = "Busy";
}

/**
 * Folds one prefix of a segment and delivers it. What it loaded is there for the next invocation in the same isolate.
 *
 * @throws {Busy} if another invocation is folding in this isolate
 * @throws {Refused} if the coordinator does not want this prover
 * @throws {CrowdfoldError} if the options are wrong
 */
export async function runOnce(options: PullOptions): Promise<Pulled> {
  if (busySince !== undefined) {
    if (Date.now() - busySince < CUT_OFF_MS) throw new Busy("another invocation is folding in this isolate");
    // What it left in the module's memory is of no more use.
    wasm.__wbg_reset_state();
  }
  const began = (busySince = Date.now());
  try {
    return await pull(wasm, options, host(), { memoryBytes: MEMORY_BYTES });
  } catch (error) {
    // Nor is an instance after a trap.
    if (error instanceof WebAssembly.RuntimeError) wasm.__wbg_reset_state();
    throw error;
  } finally {
    if (busySince === began) busySince = undefined;
  }
}

/** What a Worker is to a session. */
function host(): Host {
  const given = new Set<string>();
  return {
    async fetchParameters(url) {
      // Only where the Worker has a domain of its own is there anything in it.
      const cache = (globalThis.caches as unknown as { default?: Cache } | undefined)?.default;
      // When the same are wanted again, the ones from the cache were not good.
      if (given.has(url)) await cache?.delete(url).catch(() => false);
      given.add(url);
      const found = await cache?.match(url).catch(() => undefined);
      if (found) return new Uint8Array(await found.arrayBuffer());
      const bytes = await download(url);
      const headers = { "cache-control": "public, max-age=31536000, immutable" };
      await cache?.put(url, new Response(bytes, { headers })).catch(() => {});
      return bytes;
    },
    // In production clocks stand still but for input and output, timers among it: without them no budget would end.
    breathe: () => new Promise((resolve) => setTimeout(resolve, 0)),
  };
}

/**
 * Makes a handler of requests, by which coordinators post tasks. Do not fold with `runOnce` in the same isolate:
 * there is memory for one.
 *
 * @throws {RangeError} if the options can't be
 */
export function createPushHandler(options: PushOptions): PushHandler {
  return createHandler(() => wasm, options);
}
