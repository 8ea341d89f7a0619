// The prover in Deno: one prefix an invocation, or for as long as a program likes with `drive`. It needs permission for
// the network, to read its own files, and to read and write the folder if there is one.

import { download } from "./download.js";
import type { Host } from "./drive.js";
import { openFolder } from "./files.js";
import { pull } from "./pull.js";
import type { Pulled, PullOptions } from "./pull.js";
import { createPushHandler as createHandler } from "./push.js";
import type { PushHandler, PushOptions } from "./push.js";
import * as wasm from "./wasm/single/crowdfold_prover.js";

export { drive } from "./drive.js";
export type { DriveEvent, Driver, Host, Settings } from "./drive.js";
export { openFolder } from "./files.js";
export { Refused } from "./pull.js";
export type { Pulled, PullOptions } from "./pull.js";
export * from "./push-stores.js";
export type { PushCache, PushCoordinator, PushHandler, PushOptions } from "./push.js";
export type * from "./types.js";

/** Memory that the prover says it has, unless it is told otherwise: Deno Deploy has half a GiB. */
const MEMORY_BYTES = 2 ** 28;
/** Name of the cache of parameters, where there is no folder. */
const CACHE = "crowdfold-parameters";

/** What an invocation in Deno is to do. */
export interface DenoOptions extends PullOptions {
  /** Folder for the identity, parameters, and proofs that are not delivered; without it Deno caches parameters. */
  folder?: string;
}

let loading: Promise<unknown> | undefined;

/** Loads the prover, once. */
export async function load(): Promise<typeof wasm> {
  await (loading ??= wasm.default());
  return wasm;
}

/** What Deno is to a session without a folder: a network, and a cache where it is allowed one. */
export function network(): Host {
  const given = new Set<string>();
  return {
    async fetchParameters(url) {
      const cache = await globalThis.caches?.open(CACHE).catch(() => undefined);
      // When the same are wanted again, the ones from the cache were not good.
      if (given.has(url)) await cache?.delete(url);
      given.add(url);
      const found = await cache?.match(url);
      if (found) return new Uint8Array(await found.arrayBuffer());
      const bytes = await download(url);
      await cache?.put(url, new Response(bytes)).catch(() => {});
      return bytes;
    },
  };
}

/**
 * Folds one prefix of a segment and delivers it.
 *
 * @throws {Refused} if the coordinator does not want this prover
 * @throws {CrowdfoldError} if the options are wrong
 */
export async function runOnce(options: DenoOptions): Promise<Pulled> {
  await load();
  const folder = options.folder === undefined ? undefined : await openFolder(options.folder);
  const identity = options.identity ?? (await folder?.identity());
  const cached = (await folder?.cached()) ?? [];
  const memoryBytes = MEMORY_BYTES;
  try {
    return await pull(wasm, { ...options, identity }, folder ?? network(), { memoryBytes, cached });
  } catch (error) {
    // The instance is of no more use after a trap.
    if (error instanceof WebAssembly.RuntimeError) wasm.__wbg_reset_state();
    throw error;
  }
}

/**
 * Makes a handler of requests, by which coordinators post tasks. What `runOnce` folds in the same process ends too
 * if a task traps.
 *
 * @throws {RangeError} if the options can't be
 */
export function createPushHandler(options: PushOptions): PushHandler {
  return createHandler(load, options);
}
