// What remembers which tasks came before, and how much of the day's budget is used. What each host's store promises is
// said beside it.

/** A task that asks to be folded. */
export interface PushClaim {
  /** Names the task: its coordinator's key and its nonce. */
  task: string;
  /** Milliseconds since 1970 from which on the task is refused anyway, so that its name may be forgotten. */
  expiresMs: number;
  /** Days since 1970. */
  day: number;
  /** Steps that it would fold. */
  steps: number;
  /** Steps of a day, at most. */
  dailySteps: number;
}

/** Remembers tasks and the day's budget. */
export interface PushStore {
  /**
   * Says whether a task was seen before; if not, remembers it and takes its steps out of the day's budget, in one.
   * Gives how many steps it may fold: all, what is left, or 0, and then it was not remembered.
   */
  claim(claim: PushClaim): Promise<number | "seen">;
  /** Puts steps back that were not folded. */
  giveBack(day: number, steps: number): Promise<void>;
}

/** Steps that may be folded where so many are used. */
const granted = ({ steps, dailySteps }: PushClaim, used: number) => Math.max(0, Math.min(steps, dailySteps - used));

/**
 * Remembers in the memory of this process.
 *
 * A task is folded once and the budget holds as long as one process answers all requests and lives. After a restart the
 * budget is whole again, and a task of the last two minutes may be folded once more.
 */
export function memoryStore(): PushStore {
  const seen = new Map<string, number>();
  let today = { day: 0, used: 0 };
  const on = (day: number) => (day > today.day ? (today = { day, used: 0 }) : today);
  return {
    async claim(claim) {
      for (const [task, expiresMs] of seen) if (expiresMs <= Date.now()) seen.delete(task);
      if (seen.has(claim.task)) return "seen";
      const budget = on(claim.day);
      const steps = granted(claim, budget.used);
      if (steps > 0) {
        seen.set(claim.task, claim.expiresMs);
        budget.used += steps;
      }
      return steps;
    },
    async giveBack(day, steps) {
      if (day === today.day) today.used = Math.max(0, today.used - steps);
    },
  };
}

/** The part of `Deno.Kv` that is used. */
export interface DenoKv {
  get<T>(key: readonly string[]): Promise<{ value: T | null; versionstamp: string | null }>;
  atomic(): DenoAtomic;
}

/** The part of `Deno.AtomicOperation` that is used. */
export interface DenoAtomic {
  check(...checks: { key: readonly string[]; versionstamp: string | null }[]): DenoAtomic;
  set(key: readonly string[], value: unknown, options: { expireIn: number }): DenoAtomic;
  commit(): Promise<{ ok: boolean }>;
}

/** Times that a change of Deno KV is tried again because another one came first. */
const TRIES = 32;

/**
 * Remembers in Deno KV, as `denoKvStore(await Deno.openKv())`.
 *
 * A task is folded once and the budget holds wherever the function runs, and after restarts: each claim is one atomic
 * change, on values that are read consistently.
 */
export function denoKvStore(kv: DenoKv): PushStore {
  const budgetOf = (day: number) => ["crowdfold", "push", "budget", String(day)];
  async function change(day: number, task: string | undefined, apply: (used: number) => number, expireIn: number) {
    for (let attempt = 0; attempt < TRIES; attempt += 1) {
      const name = task === undefined ? undefined : ["crowdfold", "push", "task", task];
      if (name && (await kv.get(name)).versionstamp !== null) return "seen";
      const key = budgetOf(day);
      const { value, versionstamp } = await kv.get<number>(key);
      const used = value ?? 0;
      const then = apply(used);
      if (then === used) return 0;
      let changed = kv.atomic().check({ key, versionstamp }).set(key, then, { expireIn: 2 * DAY_MS });
      if (name) changed = changed.check({ key: name, versionstamp: null }).set(name, true, { expireIn });
      if ((await changed.commit()).ok) return then - used;
    }
    throw new Error(`Deno KV was busy ${TRIES} times`);
  }
  return {
    claim: (claim) =>
      change(claim.day, claim.task, (used) => used + granted(claim, used), lasting(claim.expiresMs)),
    async giveBack(day, steps) {
      await change(day, undefined, (used) => Math.max(0, used - steps), 0);
    },
  };
}

const DAY_MS = 86_400_000;

/** Milliseconds until a moment. */
const lasting = (untilMs: number) => Math.max(1_000, untilMs - Date.now());

/** The part of a namespace of Cloudflare Durable Objects that is used. */
export interface LedgerNamespace {
  idFromName(name: string): unknown;
  get(id: never): { fetch(url: string, init: { method: string; body: string }): Promise<Response> };
}

/** The part of a Durable Object's storage that is used. */
export interface LedgerStorage {
  get<T>(key: string): Promise<T | undefined>;
  put(entries: Record<string, unknown>): Promise<void>;
  list<T>(options: { prefix: string }): Promise<Map<string, T>>;
  delete(keys: string[]): Promise<number>;
  setAlarm(atMs: number): Promise<void>;
  getAlarm(): Promise<number | null>;
}

const TASK = "task:";
const BUDGET = "budget";
/** Keys that are deleted in one call, which has no more. */
const BATCH = 128;

/**
 * A Durable Object that remembers tasks and the day's budget. Export it from the Worker and bind a namespace to it.
 *
 * While it waits for its storage, and it waits for nothing else, no other request gets its turn; and answers wait until
 * what they tell is stored.
 */
export class PushLedger {
  #storage: LedgerStorage;

  constructor(state: { storage: LedgerStorage }) {
    this.#storage = state.storage;
  }

  /** Answers a `durableObjectStore`. */
  async fetch(request: Request): Promise<Response> {
    const order = (await request.json()) as { claim: PushClaim } | { giveBack: { day: number; steps: number } };
    const result = "claim" in order ? await this.#claim(order.claim) : await this.#giveBack(order.giveBack);
    return Response.json({ result });
  }

  /** Forgets tasks that have expired. */
  async alarm(): Promise<void> {
    const now = Date.now();
    const tasks = [...(await this.#storage.list<number>({ prefix: TASK }))];
    const over = tasks.filter(([, expiresMs]) => expiresMs <= now).map(([key]) => key);
    for (let at = 0; at < over.length; at += BATCH) await this.#storage.delete(over.slice(at, at + BATCH));
    const next = Math.min(...tasks.map(([, expiresMs]) => expiresMs).filter((expiresMs) => expiresMs > now));
    if (next < Infinity) await this.#storage.setAlarm(next);
  }

  async #budget(day: number): Promise<{ day: number; used: number }> {
    const budget = await this.#storage.get<{ day: number; used: number }>(BUDGET);
    return budget && budget.day >= day ? budget : { day, used: 0 };
  }

  async #claim(claim: PushClaim): Promise<number | "seen"> {
    const key = TASK + claim.task;
    if ((await this.#storage.get(key)) !== undefined) return "seen";
    const { day, used } = await this.#budget(claim.day);
    const steps = granted(claim, used);
    if (steps > 0) {
      await this.#storage.put({ [key]: claim.expiresMs, [BUDGET]: { day, used: used + steps } });
      if ((await this.#storage.getAlarm()) === null) await this.#storage.setAlarm(claim.expiresMs);
    }
    return steps;
  }

  async #giveBack({ day, steps }: { day: number; steps: number }): Promise<null> {
    const budget = await this.#budget(day);
    if (budget.day === day) {
      await this.#storage.put({ [BUDGET]: { day, used: Math.max(0, budget.used - steps) } });
    }
    return null;
  }
}

/**
 * Remembers in a Durable Object of the class `PushLedger`.
 *
 * A task is folded once and the budget holds wherever the Worker runs, and after restarts: one object decides for all.
 *
 * @param name of the object; functions of other names have other budgets
 */
export function durableObjectStore(namespace: LedgerNamespace, name = "crowdfold"): PushStore {
  async function ask(order: object): Promise<number | "seen"> {
    const object = namespace.get(namespace.idFromName(name) as never);
    const response = await object.fetch("https://ledger/", { method: "POST", body: JSON.stringify(order) });
    if (!response.ok) throw new Error(`the ledger answers ${response.status}`);
    return ((await response.json()) as { result: number | "seen" }).result;
  }
  return {
    claim: (claim) => ask({ claim }),
    async giveBack(day, steps) {
      await ask({ giveBack: { day, steps } });
    },
  };
}

/** The part of a namespace of Cloudflare Workers KV that is used. */
export interface WorkersKv {
  get(key: string): Promise<string | null>;
  put(key: string, value: string, options: { expirationTtl: number }): Promise<void>;
}

/** Seconds that Workers KV keeps anything at least. */
const LEAST_TTL_S = 60;

/**
 * Remembers in Cloudflare Workers KV, which costs less than a Durable Object and promises less.
 *
 * What is written is seen elsewhere after a minute or so, and requests that come at once do not see each other's: a
 * task that somebody posts again may be folded again, in each place once, and the budget may be exceeded by what is
 * folded at once. Nobody is paid twice for it; what is lost is time of the processor.
 */
export function workersKvStore(kv: WorkersKv): PushStore {
  const budgetOf = (day: number) => `crowdfold:push:budget:${day}`;
  const expirationTtl = (2 * DAY_MS) / 1_000;
  const put = (day: number, used: number) => kv.put(budgetOf(day), String(used), { expirationTtl });
  const used = async (day: number) => Number((await kv.get(budgetOf(day))) ?? 0);
  return {
    async claim(claim) {
      const name = `crowdfold:push:task:${claim.task}`;
      if ((await kv.get(name)) !== null) return "seen";
      const before = await used(claim.day);
      const steps = granted(claim, before);
      if (steps > 0) {
        const ttlS = Math.max(LEAST_TTL_S, Math.ceil((claim.expiresMs - Date.now()) / 1_000));
        await kv.put(name, "1", { expirationTtl: ttlS });
        await put(claim.day, before + steps);
      }
      return steps;
    },
    async giveBack(day, steps) {
      await put(day, Math.max(0, (await used(day)) - steps));
    },
  };
}
