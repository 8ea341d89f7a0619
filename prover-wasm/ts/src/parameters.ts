// Parameters of programs: fetched once, kept in Cache Storage under their digest, and removed when they are not used.
// Whether they are right shows when the prover loads them: it computes their digest.

import { download } from "./download.js";
import { read, remove, write } from "./records.js";
import type { Purpose } from "./types.js";

/** Name of the cache. */
const CACHE = "crowdfold-parameters";
/** Files that are kept. With more, those used longest ago are removed. */
const MAX_FILES = 8;
/** Milliseconds after which a file that was not used is removed. */
const MAX_AGE_MS = 60 * 24 * 3_600_000;
/** Waits before the attempts to download, in milliseconds: the last one that fails is reported. */
const ATTEMPTS_MS = [0, 1_000, 4_000];

/** Name of a file, also as a request to the cache: there is no such page. */
function requestFor(id: string, purpose: Purpose): string {
  return new URL(`/crowdfold-parameters/${id}/${purpose}`, location.origin).href;
}

/** The cache, where the browser has one and lets this page use it. */
async function openCache(): Promise<Cache | undefined> {
  try {
    return await globalThis.caches?.open(CACHE);
  } catch {
    return undefined;
  }
}

/** Digests of the parameters for folding that are here. */
export async function cachedParameters(): Promise<string[]> {
  const requests = (await (await openCache())?.keys()) ?? [];
  return requests.flatMap(({ url }) => /\/([0-9a-f]{64})\/fold$/.exec(url)?.[1] ?? []);
}

/**
 * The bytes of a file of parameters, from the cache or else from `url`.
 *
 * @param isRefused whether the ones that were given before were refused: then the cached ones are dropped
 * @throws {Error} if they can't be fetched
 */
export async function parameters(url: string, id: string, purpose: Purpose, isRefused: boolean): Promise<Uint8Array> {
  const name = requestFor(id, purpose);
  const get = () => getWhole(url, name, isRefused);
  // Several workers want the same at once: one of them fetches.
  const bytes = await (navigator.locks ? navigator.locks.request(name, get) : get());
  await note(name);
  return bytes;
}

async function getWhole(url: string, name: string, isRefused: boolean): Promise<Uint8Array> {
  const cache = await openCache();
  if (isRefused) await cache?.delete(name);
  const found = await cache?.match(name);
  if (found) return new Uint8Array(await found.arrayBuffer());
  const bytes = await downloadAgain(url, cache ? "no-store" : isRefused ? "reload" : "default");
  // A full disk costs another download next time.
  await cache?.put(name, new Response(bytes)).catch(() => {});
  return bytes;
}

/** Notes that a file was used, and removes those that were not for long. */
async function note(name: string): Promise<void> {
  const now = Date.now();
  if (!(await write("parameters", name, now))) return;
  const cache = await openCache();
  const requests = (await cache?.keys()) ?? [];
  const use = async ({ url }: Request) => ({ url, used: (await read<number>("parameters", url)) ?? 0 });
  const files = await Promise.all(requests.map(use));
  files.sort((a, b) => b.used - a.used);
  for (const { url } of files.filter(({ used }, i) => i >= MAX_FILES || now - used > MAX_AGE_MS)) {
    await cache?.delete(url);
    await remove("parameters", url);
  }
}

async function downloadAgain(url: string, cache: RequestCache): Promise<Uint8Array<ArrayBuffer>> {
  let failure: unknown;
  for (const wait of ATTEMPTS_MS) {
    await new Promise((resolve) => setTimeout(resolve, wait));
    try {
      return await download(url, { cache, credentials: "omit" });
    } catch (error) {
      failure = error;
    }
  }
  throw failure;
}
