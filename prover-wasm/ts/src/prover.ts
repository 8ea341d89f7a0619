// A prover in a page. It owns its workers: they start, pause, stop and are started again here and nowhere else. Nothing
// is folded, hashed or compiled on the page's own thread.

import { Member } from "./member.js";
import type { Hooks } from "./member.js";
import type { Start } from "./messages.js";
import { change, choose, LEAST_BANDWIDTH, toHex } from "./options.js";
import type { Changes, Chosen, ProverOptions } from "./options.js";
import { firstPlan, inWords, lowerPlan } from "./plan.js";
import type { Cause, Plan } from "./plan.js";
import { slotsWithProofs, tidyProofs } from "./proofs.js";
import { read, readOrWrite, write } from "./records.js";
import { MAX_SLOTS, takeSlot } from "./slots.js";
import { addTotals, NO_TOTALS, sumOf } from "./state.js";
import type { Phase, ProverEvents, ProverState, Trouble } from "./state.js";
import { chooseVariant, features } from "./variants.js";
import type { Variant } from "./variants.js";

/** Milliseconds between two looks at the workers. */
const CHECK_MS = 5_000;
/**
 * At most so many milliseconds between two looks count as silence: after more, the machine or the page was asleep.
 * Browsers let a hidden page look once a minute.
 */
const COUNTED_MS = 65_000;
/** Milliseconds between two events of a changed state. */
const STATE_MS = 100;
/** Milliseconds before a worker that crashed starts again: the first time, and at most. It doubles in between. */
const RESTART_MS = [1_000, 60_000] as const;
/** Crashes one after the other, after which less is asked of the machine. */
const CRASHES = 3;
/** Milliseconds without a crash after which those before are forgotten. */
const STEADY_MS = 300_000;
/**
 * Milliseconds after which workers are told to dial at once when the network may be back: browsers say so before
 * anything can be reached.
 */
const NUDGES_MS = [0, 1_000, 3_000, 10_000];
/** Pages of 64 KiB that shared memory begins with: more than the module's own data. It grows from there. */
const INITIAL_PAGES = 256;
const PAGES_PER_MIB = 16;
const MIB = 2 ** 20;
const KEY_BYTES = 32;
/**
 * Rows a second that are told before anything was measured: those of a slow phone. More would give a slow machine
 * segments that end before it is done with them; less than it can do only makes the first ones short.
 */
const FIRST_SPEED = 5_000;
/** Milliseconds between two notes of the speed, which the next run begins with. */
const SPEED_MS = 30_000;

/** Dispatches what `ProverEvents` lists. */
export interface CrowdfoldProver {
  addEventListener<K extends keyof ProverEvents>(
    type: K,
    listener: (event: CustomEvent<ProverEvents[K]>) => void,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(...given: Parameters<EventTarget["addEventListener"]>): void;
  removeEventListener<K extends keyof ProverEvents>(
    type: K,
    listener: (event: CustomEvent<ProverEvents[K]>) => void,
    options?: boolean | EventListenerOptions,
  ): void;
  removeEventListener(...given: Parameters<EventTarget["removeEventListener"]>): void;
}

/** A prover of one coordinator in this page. `createProver` makes one. */
export class CrowdfoldProver extends EventTarget {
  #chosen: Chosen;
  #phase: Phase = "off";
  #failure: string | undefined;
  #plan: Plan | undefined;
  #members: Member[] = [];
  #modules = new Map<Variant, Promise<WebAssembly.Module>>();
  #identity: Uint8Array | undefined;
  /** What workers did that are gone. */
  #earlier = NO_TOTALS;
  #crashes = 0;
  #steadyMs = 0;
  #refusals = new Set<Member>();
  #speeds = new Map<string, number>();
  #spokeAt = 0;
  /** Numbers the runs from `start` to `stop`: what was begun in an earlier one ends unseen. */
  #run = 0;
  #started: Unsettled | undefined;
  #arranging: Promise<void> = Promise.resolve();
  #timers = new Set<ReturnType<typeof setTimeout>>();
  #telling: ReturnType<typeof setTimeout> | undefined;
  #unwatch: (() => void) | undefined;

  /** @throws {TypeError} for an option of another form: it says what was expected */
  constructor(options: ProverOptions) {
    super();
    this.#chosen = choose(options);
  }

  /** How it stands. */
  get state(): ProverState {
    const workers = this.#members.map((member) => member.state);
    return {
      phase: this.#phase,
      failure: this.#failure,
      variant: this.#plan?.variant,
      threads: this.#plan ? this.#plan.workers * this.#plan.threads : this.#chosen.threads,
      memoryMiB: this.#plan?.memoryMiB ?? 0,
      storage: this.#members.find(({ storage }) => storage)?.storage,
      isOnline: navigator.onLine,
      workers,
      sum: sumOf(workers, this.#earlier),
    };
  }

  /**
   * Starts to prove: from now on it uses the processor. Resolves when the first worker runs. A paused one goes on.
   *
   * @throws {Error} if it can't run here: the message says what to do
   */
  async start(): Promise<void> {
    if (this.#phase === "paused") return this.resume();
    if (this.#phase === "stopping") await this.stop();
    if (this.#phase === "off" || this.#phase === "failed") this.#begin();
    return this.#started?.promise;
  }

  /** Stops folding: what is folded is handed in, the rest given back. The workers stay, and deliver. */
  pause(): void {
    if (this.#phase !== "running" && this.#phase !== "starting") return;
    this.#noteSpeed();
    this.#enter("paused");
    for (const member of this.#members) member.tell({ kind: "pause" });
  }

  /** Goes on after `pause`, or tries again after the coordinator has refused this prover. */
  resume(): void {
    if (this.#phase !== "paused" && this.#phase !== "running") return;
    this.#enter("running");
    for (const member of this.#members) member.tell({ kind: "resume" });
  }

  /**
   * Ends: hands in what is folded, delivers it, and ends the workers. Without a connection it does not wait for one for
   * long: what is stored by then is delivered by the next run.
   */
  async stop(): Promise<void> {
    if (this.#phase === "off" || this.#phase === "failed") return;
    const run = this.#run;
    this.#noteSpeed();
    this.#enter("stopping");
    this.#clear();
    this.#started?.resolve();
    await Promise.all(this.#members.map((member) => member.halt()));
    if (run === this.#run && this.#phase === "stopping") this.#end("off");
  }

  /**
   * Changes options while it runs.
   *
   * @throws {TypeError} for a value of another form
   */
  set(changes: Changes): void {
    this.#chosen = change(this.#chosen, changes);
    for (const member of this.#members) member.tell({ kind: "set", settings: this.#settings() });
    if (changes.threads === undefined || !this.#plan) return;
    // What turned out to be too much memory stays so.
    const memoryMiB = Math.min(this.#plan.memoryMiB, this.#chosen.memoryMiB);
    this.#plan = { ...this.#planned(this.#plan.variant), memoryMiB };
    this.#arrange();
  }

  /** The key that names this prover, as `ProverOptions.identity` takes it: whoever has it can prove in its name. */
  async exportIdentity(): Promise<string> {
    return toHex(await this.#key());
  }

  #begin(): void {
    this.#run += 1;
    this.#failure = undefined;
    this.#crashes = 0;
    this.#started = unsettled();
    // Whoever does not wait for it sees `failed`.
    this.#started.promise.catch(() => {});
    this.#enter("starting");
    this.#watch();
    void tidyProofs();
    try {
      this.#plan = this.#planned(this.#variant(this.#chosen.isolated));
    } catch (error) {
      return this.#fail((error as Error).message);
    }
    this.#arrange();
  }

  /** The fastest build here, or the fastest of those for isolated workers. */
  #variant(isolated: "auto" | "never"): Variant {
    const isOwn = new URL(import.meta.url).origin === location.origin;
    const isIsolated = isolated === "auto" && globalThis.crossOriginIsolated === true;
    return chooseVariant(features(), { isIsolated, isOwn });
  }

  #planned(variant: Variant): Plan {
    return firstPlan(variant, this.#chosen.threads, this.#chosen.memoryMiB);
  }

  #settings() {
    const { duty, bandwidth } = this.#chosen;
    const share = bandwidth && Math.max(bandwidth / (this.#plan?.workers ?? 1), LEAST_BANDWIDTH);
    return { duty, bandwidth: Math.ceil(share / 8) };
  }

  async #key(): Promise<Uint8Array> {
    if (this.#chosen.identity) return this.#chosen.identity;
    if (!this.#identity) {
      const made = crypto.getRandomValues(new Uint8Array(KEY_BYTES));
      const kept = await readOrWrite("identities", this.#chosen.coordinator, made);
      // Of two calls at once, and without storage, the first counts.
      this.#identity ??= kept;
    }
    return this.#identity;
  }

  /** Brings the workers to what the plan says, one change after the other. */
  #arrange(): void {
    const run = this.#run;
    const isCurrent = () => run === this.#run && (this.#phase === "starting" || this.#isUp());
    this.#arranging = this.#arranging.then(async () => {
      try {
        while (isCurrent() && (await this.#arrangeOne(isCurrent)));
      } catch (error) {
        if (isCurrent()) this.#fail((error as Error).message);
      }
    });
  }

  /** Makes one change towards the plan, if one is needed; false if none was. */
  async #arrangeOne(isCurrent: () => boolean): Promise<boolean> {
    const plan = this.#plan;
    if (!plan) return false;
    if (this.#members.length > plan.workers) {
      const surplus = this.#members.find(({ isAlive }) => !isAlive) ?? (this.#members.at(-1) as Member);
      await surplus.halt();
      this.#drop(surplus);
      return true;
    }
    const other = this.#members.find(({ isAlive, plan: its }) => isAlive && its && !isSame(its, plan));
    if (other) {
      await other.halt();
      if (isCurrent()) await this.#launch(other);
      return true;
    }
    if (this.#members.length === plan.workers) return false;
    const member = await this.#join(isCurrent);
    if (member) await this.#launch(member);
    return member !== undefined;
  }

  /** Takes one more slot. Without a free one it makes do with the workers that there are. */
  async #join(isCurrent: () => boolean): Promise<Member | undefined> {
    const { coordinator } = this.#chosen;
    const slot = await takeSlot(coordinator, await slotsWithProofs(coordinator));
    if (!slot && this.#members.length === 0) {
      throw new Error(`${MAX_SLOTS} provers of ${coordinator} run in this browser: close some of their tabs`);
    }
    if (!slot || !isCurrent()) {
      slot?.release();
      return undefined;
    }
    const member = new Member(slot, this.#hooks);
    this.#members.push(member);
    return member;
  }

  #drop(member: Member): void {
    if (!this.#members.includes(member)) return;
    this.#members = this.#members.filter((other) => other !== member);
    this.#earlier = addTotals(this.#earlier, member.totals);
    this.#refusals.delete(member);
    member.discard();
    this.#changed();
  }

  /** Starts a member's worker as the plan says. If there is no memory for it, the plan becomes a smaller one. */
  async #launch(member: Member): Promise<void> {
    const run = this.#run;
    for (;;) {
      const plan = this.#plan as Plan;
      const [module, identity, rowsPerSecond] = await Promise.all([
        this.#module(plan.variant),
        this.#key(),
        this.#speed(plan),
      ]);
      if (run !== this.#run || member.isAlive || !this.#members.includes(member)) return;
      if (this.#phase === "stopping" || this.#phase === "failed") return;
      // The plan may have changed in between.
      if (plan !== this.#plan) continue;
      const memory = plan.variant === "threads" ? sharedMemory(plan.memoryMiB) : undefined;
      if (memory === null) {
        if (!this.#lower("memory", `there are no ${plan.memoryMiB} MiB of memory to share`, member)) return;
        continue;
      }
      const { coordinator, payout } = this.#chosen;
      const start: Start = {
        coordinator,
        payout,
        identity,
        slot: { number: member.slot.number, isOwn: member.slot.isOwn },
        variant: plan.variant,
        module,
        memory,
        threads: plan.threads,
        channel: `crowdfold:${crypto.getRandomValues(new Uint32Array(4)).join("-")}`,
        memoryBytes: plan.memoryMiB * MIB,
        rowsPerSecond,
        settings: this.#settings(),
        isPaused: this.#phase === "paused",
      };
      return member.launch(start, plan);
    }
  }

  /** Compiles a build once for all workers; the browser does that beside this thread. */
  #module(variant: Variant): Promise<WebAssembly.Module> {
    let module = this.#modules.get(variant);
    if (!module) {
      module = compile(new URL(`./wasm/${variant}/crowdfold_prover_bg.wasm`, import.meta.url));
      module.catch(() => this.#modules.delete(variant));
      this.#modules.set(variant, module);
    }
    return module;
  }

  /** Asks less of the machine. False if that is not possible: then it has failed. */
  #lower(cause: Cause, text: string, member?: Member): boolean {
    const plan = this.#plan as Plan;
    const lower = lowerPlan(plan, cause, plan.variant === "threads" ? this.#variant("never") : plan.variant);
    if (!lower) {
      this.#fail(`${text}, with ${inWords(plan)}: ${REMEDIES[cause]}`);
      return false;
    }
    this.#plan = lower;
    this.#crashes = 0;
    this.#trouble({ kind: cause, text: `${text}: it goes on with ${inWords(lower)}`, slot: member?.slot.number });
    this.#arrange();
    return true;
  }

  readonly #hooks: Hooks = {
    changed: () => this.#changed(),
    ready: () => {
      if (this.#phase === "starting") this.#enter("running");
      this.#started?.resolve();
    },
    verdict: (member, verdict) => this.#emit("verdict", { ...verdict, slot: member.slot.number }),
    note: (member, text) => this.#emit("note", { text, slot: member.slot.number }),
    crashed: (member, cause, text) => this.#crashed(member, cause, text),
  };

  #crashed(member: Member, cause: Cause | "unresponsive", text: string): void {
    if (!this.#members.includes(member) || this.#phase === "stopping" || this.#phase === "failed") return;
    this.#crashes += 1;
    this.#steadyMs = 0;
    const isFinal = cause === "memory" || cause === "blocked";
    const wait = isFinal ? 0 : Math.min(RESTART_MS[0] * 2 ** (this.#crashes - 1), RESTART_MS[1]);
    if (isFinal || this.#crashes >= CRASHES) {
      if (!this.#lower(isFinal ? cause : "crash", `a worker failed (${text})`, member)) return;
    } else {
      const restart = `it starts again in ${wait / 1_000} s`;
      this.#trouble({ kind: cause, text: `a worker failed (${text}): ${restart}`, slot: member.slot.number });
    }
    const run = this.#run;
    this.#later(wait, () => {
      this.#launch(member).catch((error: Error) => run === this.#run && this.#fail(error.message));
    });
  }

  #fail(text: string): void {
    const error = new Error(text);
    this.#failure = text;
    this.#end("failed");
    this.#started?.reject(error);
    this.#emit("failed", { text });
  }

  /** Ends all workers at once. */
  #end(phase: "off" | "failed"): void {
    this.#clear();
    this.#unwatch?.();
    for (const member of [...this.#members]) this.#drop(member);
    this.#plan = undefined;
    this.#run += 1;
    this.#enter(phase);
  }

  #isUp(): boolean {
    return this.#phase === "running" || this.#phase === "paused";
  }

  /** The speed that an earlier run measured with this plan. */
  async #speed(plan: Plan): Promise<number> {
    const key = speedKey(plan);
    return this.#speeds.get(key) ?? (await read<number>("speeds", key)) ?? FIRST_SPEED;
  }

  #noteSpeed(): void {
    const { status } = this.#members[0]?.state ?? {};
    if (!this.#plan || !status || status.activity !== "folding" || status.rowsPerSecond === 0) return;
    const key = speedKey(this.#plan);
    this.#speeds.set(key, status.rowsPerSecond);
    void write("speeds", key, status.rowsPerSecond);
  }

  /** Looks after the workers, and listens to what the browser says about the page and the network. */
  #watch(): void {
    const given = new AbortController();
    const { signal } = given;
    const nudge = () => {
      for (const wait of NUDGES_MS) {
        this.#later(wait, () => this.#members.forEach((member) => member.tell({ kind: "nudge" })));
      }
      this.#changed();
    };
    addEventListener("online", nudge, { signal });
    addEventListener("offline", () => this.#changed(), { signal });
    // Back from the cache of pages that were left, from being frozen, from the background.
    addEventListener("pageshow", ({ persisted }) => persisted && nudge(), { signal });
    document.addEventListener("resume", nudge, { signal });
    document.addEventListener("visibilitychange", () => document.hidden || nudge(), { signal });
    let last = Date.now();
    let spedMs = 0;
    const look = setInterval(() => {
      const elapsed = Math.max(Date.now() - last, 0);
      last += elapsed;
      // The machine was asleep, or the page: connections are gone that nobody has closed.
      if (elapsed > 3 * CHECK_MS) nudge();
      for (const member of this.#members) member.check(Math.min(elapsed, COUNTED_MS));
      this.#steadyMs += elapsed;
      if (this.#steadyMs > STEADY_MS) this.#crashes = 0;
      if ((spedMs += elapsed) > SPEED_MS) {
        spedMs = 0;
        this.#noteSpeed();
      }
    }, CHECK_MS);
    this.#unwatch = () => {
      given.abort();
      clearInterval(look);
      clearTimeout(this.#telling);
      this.#telling = undefined;
    };
  }

  #later(wait: number, what: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      what();
    }, wait);
    this.#timers.add(timer);
  }

  #clear(): void {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
  }

  #enter(phase: Phase): void {
    this.#phase = phase;
    this.#tell();
  }

  /** Says soon that the state has changed, not more often than a page can show. */
  #changed(): void {
    for (const member of this.#members) this.#noteRefusal(member);
    this.#telling ??= setTimeout(() => this.#tell(), Math.max(this.#spokeAt + STATE_MS - performance.now(), 0));
  }

  #tell(): void {
    clearTimeout(this.#telling);
    this.#telling = undefined;
    this.#spokeAt = performance.now();
    this.#emit("state", this.state);
  }

  /** Says once that the coordinator does not want a worker. */
  #noteRefusal(member: Member): void {
    const { status, slot } = member.state;
    if (status?.link !== "refused") return void this.#refusals.delete(member);
    if (this.#refusals.has(member)) return;
    this.#refusals.add(member);
    this.#trouble({ kind: "refused", text: status.refusal ?? "the coordinator refuses this prover", slot });
  }

  #trouble(trouble: Trouble): void {
    this.#emit("trouble", trouble);
  }

  #emit<K extends keyof ProverEvents>(type: K, detail: ProverEvents[K]): void {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

/** A promise, and what settles it. */
interface Unsettled {
  readonly promise: Promise<void>;
  resolve(): void;
  reject(error: Error): void;
}

function unsettled(): Unsettled {
  const parts: Partial<Pick<Unsettled, "resolve" | "reject">> = {};
  const promise = new Promise<void>((resolve, reject) => Object.assign(parts, { resolve, reject }));
  return { promise, ...(parts as Pick<Unsettled, "resolve" | "reject">) };
}

/** What a person can do when nothing smaller is left to try. */
const REMEDIES: Record<Cause, string> = {
  memory: "close other tabs or programs, then start again",
  crash: "reload the page; if it happens again, report it with what the browser's console says",
  blocked: "let this page's policy allow workers from `blob:`",
};

function isSame(a: Plan, b: Plan): boolean {
  return a.variant === b.variant && a.threads === b.threads && a.memoryMiB === b.memoryMiB;
}

function speedKey({ variant, threads }: Plan): string {
  return `${variant}/${threads}`;
}

/** Memory that grows up to so many MiB, or `null` if this machine has no room for so much. */
function sharedMemory(mib: number): WebAssembly.Memory | null {
  try {
    return new WebAssembly.Memory({ initial: INITIAL_PAGES, maximum: mib * PAGES_PER_MIB, shared: true });
  } catch (error) {
    if (error instanceof RangeError) return null;
    throw error;
  }
}

async function compile(url: URL): Promise<WebAssembly.Module> {
  try {
    const response = await fetch(url, { credentials: "omit" });
    if (!response.ok) throw new Error(`the answer is ${response.status}`);
    // A server that does not know the type of WASM files costs only time.
    const isTyped = response.headers.get("Content-Type") === "application/wasm";
    return await (isTyped ? WebAssembly.compileStreaming(response) : WebAssembly.compile(await response.arrayBuffer()));
  } catch (error) {
    const text = `the prover can't be loaded from ${url}: ${(error as Error).message}`;
    throw new Error(`${text}; look at the network, and start again`, { cause: error });
  }
}
