// Tasks that a coordinator posts: a handler of requests, the same in workerd, Deno and Node.

import { download } from "./download.js";
import { said } from "./drive.js";
import { memoryStore } from "./push-stores.js";
import type { PushStore } from "./push-stores.js";
import type { CrowdfoldError } from "./types.js";
import type { Prover, PushTask } from "./wasm/single/crowdfold_prover.js";

type Build = typeof import("./wasm/single/crowdfold_prover.js");
/** What a handler needs of a build of the prover. */
export type PushWasm = Pick<Build, "Prover" | "PushTask" | "__wbg_reset_state">;

/** Milliseconds in which steps are begun, unless it is said otherwise. */
const BUDGET_MS = 20_000;
const DAY_MS = 86_400_000;
/** Milliseconds after which a task that did not end is taken for one that its host cut off. */
const CUT_OFF_MS = 15 * 60_000;
/** Seconds after which a coordinator may ask a function again that is folding something else. */
const BUSY_S = 2;
/** Seconds after which it may where something failed that may be better then. */
const RETRY_S = 30;
const OCTETS = "application/octet-stream";

/** A coordinator whose tasks are taken. */
export interface PushCoordinator {
  /** Its public key: what `coordinator push key` prints. */
  key: string;
  /** Where its parameters are: `https://` with a host and perhaps a port, and nothing more. */
  url: string;
}

/** What a function is set up with. */
export interface PushOptions {
  /** Whose tasks it takes. */
  coordinators: readonly PushCoordinator[];
  /** Its own URL, letter by letter as the coordinators' settings have it. */
  audience: string;
  /** Ethereum address that is paid, as the coordinators' settings have it. */
  payout: string;
  /** Steps that it folds in a day of UTC, at most. */
  dailySteps: number;
  /**
   * Milliseconds from the request after which no step is begun; 20 000 by default. One that would end later is not
   * begun either, but for the first.
   */
  budgetMs?: number;
  /** Steps that it folds of a task, at most, where a host limits the processor's time and hides it. */
  stepsPerTask?: number;
  /** What remembers tasks and the day's budget; the memory of this process by default. */
  store?: PushStore;
  /** Where parameters are kept between processes; `caches` by default, where there is one. */
  cache?: PushCache;
  /** Told of what goes wrong here. */
  note?: (text: string) => void;
}

/** Keeps files of parameters. What fails is done without. */
export interface PushCache {
  /** The file of that address, if it is here. */
  get(url: string): Promise<Uint8Array | undefined>;
  /** Keeps a file. */
  put(url: string, bytes: Uint8Array<ArrayBuffer>): Promise<void>;
}

/** Answers requests. */
export type PushHandler = (request: Request) => Promise<Response>;

/** Why there is no proof. */
class Refusal extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly retryS?: number,
  ) {
    super(message);
  }
}

/** What errors of the module mean to whoever posted the task. What is not here is a fault of the task: 422. */
const STATUSES: Partial<Record<string, number>> = {
  Version: 400,
  Decode: 400,
  Limit: 400,
  Stranger: 401,
  Signature: 401,
  Lifetime: 401,
  Early: 401,
  Expired: 401,
  Audience: 403,
  Payout: 403,
};

/**
 * Makes a handler of requests. It folds one task at a time; others are told to come again. After a trap it makes
 * another instance of the prover, which ends whatever else is done with it.
 *
 * @param load gives a build of the prover, instantiated
 * @throws {RangeError} if the options can't be
 */
export function createPushHandler(load: () => PushWasm | Promise<PushWasm>, options: PushOptions): PushHandler {
  check(options);
  const { store = memoryStore(), cache = cacheStorage(), note = () => {} } = options;
  const urls = new Map(options.coordinators.map(({ key, url }) => [plain(key), origin(url)]));
  const gate = { keys: [...urls.keys()], audience: options.audience, payout: options.payout };
  let loaded: { id: string; prover: Prover } | undefined;
  /** When the task under way began: there is memory for one. */
  let busySince: number | undefined;

  return async (request) => {
    try {
      if (request.method !== "POST") throw new Refusal(405, "method", "tasks are posted here");
      const wasm = await ready();
      // All is read in any case, because some see no answer before they have sent it; but it is not kept for nothing.
      const wasIdle = isIdle();
      const body = await read(request, wasm.PushTask.maxBytes(), wasIdle);
      // Before anything is remembered of the task, so that it may come again.
      if (!wasIdle || !isIdle()) throw new Refusal(503, "busy", "another task is being folded", BUSY_S);
      return await inTurn(wasm, body, request.signal);
    } catch (error) {
      return answer(error);
    }
  };

  function isIdle(): boolean {
    return busySince === undefined || Date.now() - busySince >= CUT_OFF_MS;
  }

  async function ready(): Promise<PushWasm> {
    try {
      return await load();
    } catch (error) {
      throw failed(error);
    }
  }

  /** Folds a task while no other is folded. */
  async function inTurn(wasm: PushWasm, body: Uint8Array, signal: AbortSignal | undefined): Promise<Response> {
    const began = (busySince = Date.now());
    try {
      const task = opened(wasm, body);
      return await freed(task, () => take(wasm, task, signal));
    } catch (error) {
      if (!isTrap(error)) throw error;
      // So ends, among others, what has used up the memory. Another instance is as good as new.
      wasm.__wbg_reset_state();
      loaded = undefined;
      throw failed(error);
    } finally {
      if (busySince === began) busySince = undefined;
    }
  }

  function failed(error: unknown): Refusal {
    note(`the prover failed: ${said(error)}`);
    return new Refusal(503, "failed", "the prover failed", RETRY_S);
  }

  /** Reads the body of a request, and no more of it than a task can have. */
  async function read(request: Request, most: number, keeps: boolean): Promise<Uint8Array> {
    const tooLong = () => new Refusal(413, "size", `a task has at most ${most} bytes`);
    if (Number(request.headers.get("content-length") ?? 0) > most) throw tooLong();
    const parts: Uint8Array[] = [];
    let length = 0;
    const reader = request.body?.getReader();
    while (reader) {
      const { done, value } = await reader.read().catch((error) => {
        throw new Refusal(400, "body", `the task broke off: ${said(error)}`);
      });
      if (done) break;
      length += value.length;
      if (length > most) {
        await reader.cancel().catch(() => {});
        throw tooLong();
      }
      if (keeps) parts.push(value);
    }
    const whole = new Uint8Array(keeps ? length : 0);
    parts.reduce((at, part) => (whole.set(part, at), at + part.length), 0);
    return whole;
  }

  function opened(wasm: PushWasm, body: Uint8Array): PushTask {
    try {
      return wasm.PushTask.open(body, { ...gate, nowSeconds: Math.floor(Date.now() / 1_000) });
    } catch (error) {
      throw ours(error) ? new Refusal(STATUSES[error.kind] ?? 422, error.kind.toLowerCase(), error.message) : error;
    }
  }

  /** Folds a task that was meant for this function, if it is new and there is budget for it. */
  async function take(wasm: PushWasm, task: PushTask, signal: AbortSignal | undefined): Promise<Response> {
    const began = performance.now();
    const now = Date.now();
    const day = Math.floor(now / DAY_MS);
    const steps = Math.min(task.steps, options.stepsPerTask ?? Infinity);
    const { dailySteps } = options;
    const claim = { task: task.coordinator + task.nonce, expiresMs: task.expires * 1_000, day, steps, dailySteps };
    const granted = await store.claim(claim).catch((error) => {
      note(`tasks can't be remembered: ${said(error)}`);
      throw new Refusal(503, "store", "tasks can't be remembered now", RETRY_S);
    });
    if (granted === "seen") throw new Refusal(409, "seen", "this task was posted before");
    if (granted < 1) {
      const leftS = Math.ceil(((day + 1) * DAY_MS - now) / 1_000);
      throw new Refusal(429, "budget", `all of the day's ${dailySteps} steps are used`, leftS);
    }
    let folded = 0;
    try {
      const prover = await proverOf(wasm, task);
      const segment = task.segment(prover);
      return await freed(segment, async () => {
        const hasTime = clock(began, options.budgetMs ?? BUDGET_MS);
        // Others have their turn between two steps. In a Worker the clock goes on only then.
        for (let left = granted; left > 0 && hasTime(folded); left -= 1) {
          if (signal?.aborted) throw new Refusal(503, "gone", "whoever posted the task is gone");
          try {
            task.fold(segment);
          } catch (error) {
            // What is folded is good.
            if (folded > 0 && ours(error)) break;
            throw error;
          }
          folded += 1;
          await new Promise((resolve) => setTimeout(resolve, 0));
        }
        const proof = segment.finish() as Uint8Array<ArrayBuffer>;
        return new Response(proof, { headers: { "content-type": OCTETS, "crowdfold-steps": String(folded) } });
      });
    } finally {
      const unused = granted - folded;
      if (unused > 0) {
        // What is not given back is lost for the day, and nothing more.
        await store.giveBack(day, unused).catch((error) => note(`steps are not given back: ${said(error)}`));
      }
    }
  }

  /** The prover with the parameters of a task: the one at hand, else from the cache, else from the coordinator. */
  async function proverOf(wasm: PushWasm, task: PushTask): Promise<Prover> {
    const id = task.parameters;
    if (loaded && loaded.id === id && loaded.prover.program === task.program) return loaded.prover;
    // There is no memory for two.
    loaded?.prover.free();
    loaded = undefined;
    const url = urls.get(task.coordinator) + task.parametersPath;
    const kept = await cache?.get(url).catch((error) => void note(`parameters are not read: ${said(error)}`));
    if (kept) {
      try {
        return keep(id, new wasm.Prover(task.program, kept, id));
      } catch (error) {
        if (!ours(error)) throw error;
        note(`parameters that were kept can't be used: ${error.message}`);
      }
    }
    const bytes = await download(url).catch((error) => {
      note(said(error));
      throw new Refusal(503, "parameters", "the parameters can't be fetched now", RETRY_S);
    });
    const prover = keep(id, new wasm.Prover(task.program, bytes, id));
    await cache?.put(url, bytes).catch((error) => note(`parameters are not kept: ${said(error)}`));
    return prover;
  }

  function keep(id: string, prover: Prover): Prover {
    loaded = { id, prover };
    return prover;
  }

  function answer(error: unknown): Response {
    const { status, code, message, retryS } = error instanceof Refusal ? error : refusal(error);
    const headers: Record<string, string> = status === 405 ? { allow: "POST" } : {};
    if (retryS !== undefined) headers["retry-after"] = String(retryS);
    return Response.json({ error: code, message }, { status, headers });
  }

  /** What an error means that is of no rule here. */
  function refusal(error: unknown): Refusal {
    if (!ours(error)) return failed(error);
    const isHere = error.kind === "Memory" || error.kind === "Randomness";
    return new Refusal(isHere ? 503 : 422, error.kind.toLowerCase(), error.message, isHere ? RETRY_S : undefined);
  }
}

/** Does something with an object of the module, which is freed then; not after a trap, when nothing may be called. */
async function freed<T>(object: { free(): void }, act: () => Promise<T>): Promise<T> {
  let isWhole = true;
  try {
    return await act();
  } catch (error) {
    isWhole = !isTrap(error);
    throw error;
  } finally {
    if (isWhole) object.free();
  }
}

function check({ coordinators, audience, dailySteps, budgetMs = 1, stepsPerTask = 1 }: PushOptions): void {
  const bad =
    coordinators.length === 0
      ? "coordinators: at least one"
      : !URL.canParse(audience)
        ? "audience: the function's own URL"
        : !(Number.isSafeInteger(dailySteps) && dailySteps > 0)
          ? "dailySteps: a whole number above 0"
          : !(budgetMs > 0)
            ? "budgetMs: milliseconds above 0"
            : !(Number.isSafeInteger(stepsPerTask) && stepsPerTask > 0)
              ? "stepsPerTask: a whole number above 0"
              : undefined;
  if (bad) throw new RangeError(`expected ${bad}`);
}

/** A key as the module writes it. */
const plain = (key: string) => key.replace(/^0x/, "").toLowerCase();

/** The origin of a coordinator. */
function origin(url: string): string {
  const found = URL.canParse(url) ? new URL(url) : undefined;
  if (!found || !/^https?:$/.test(found.protocol) || found.pathname !== "/" || found.search || found.hash) {
    throw new RangeError(`expected the origin of a coordinator, as https://prove.example, got ${url}`);
  }
  return found.origin;
}

/** Says after each step whether there is time for another one. */
function clock(began: number, budgetMs: number): (folded: number) => boolean {
  let first: number | undefined;
  return (folded) => {
    const now = performance.now();
    first ??= now;
    return folded === 0 || now + (now - first) / folded - began < budgetMs;
  };
}

/** Keeps parameters where a host has a cache of responses. */
function cacheStorage(): PushCache | undefined {
  if (typeof caches === "undefined") return undefined;
  const opened = () => caches.open("crowdfold-parameters");
  return {
    async get(url) {
      const found = await (await opened()).match(url);
      return found && new Uint8Array(await found.arrayBuffer());
    },
    async put(url, bytes) {
      // Their address is their digest, so they never change.
      const headers = { "content-type": OCTETS, "cache-control": "public, max-age=31536000, immutable" };
      await (await opened()).put(url, new Response(bytes, { headers }));
    },
  };
}

/** Whether an error is nobody's answer, but the end of an instance. */
const isTrap = (error: unknown) => !(error instanceof Refusal) && !ours(error);

/** Whether an error is an answer of the module, and not the end of it. */
const ours = (error: unknown): error is CrowdfoldError => error instanceof Error && error.name === "CrowdfoldError";
