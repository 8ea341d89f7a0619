// One worker of a prover, for as long as it has its slot: after a crash there is another `Worker` object behind it.

import { causeOfTrap } from "./faults.js";
import type { FromWorker, Start, ToWorker } from "./messages.js";
import type { Cause, Plan } from "./plan.js";
import type { Slot } from "./slots.js";
import { addTotals, NO_TOTALS } from "./state.js";
import type { WorkerState } from "./state.js";
import type { Status, Totals, Verdict } from "./types.js";

/** Milliseconds without a sign after which a worker that is starting counts as hanging. */
const START_LIMIT_MS = 120_000;
/**
 * The same for one that runs. A step can take minutes on a slow machine that is busy, and a worker that hangs does so
 * for ever: a long limit costs little, a short one would lose what a slow one folds.
 */
const SILENCE_LIMIT_MS = 600_000;
/** Milliseconds that a worker which was told to stop may go without telling anything new. */
const STOP_IDLE_MS = 30_000;
/** Milliseconds that stopping may take. What is stored by then is delivered by the next run. */
const STOP_LIMIT_MS = 300_000;

/** Who is told what happens to a worker. */
export interface Hooks {
  /** Its state is another one. */
  changed(): void;
  /** It has connected its parts and runs. */
  ready(member: Member): void;
  verdict(member: Member, verdict: Verdict): void;
  note(member: Member, text: string): void;
  /** It has ended, and its `Worker` with it. */
  crashed(member: Member, cause: Cause | "unresponsive", text: string): void;
}

/** A worker and its slot. */
export class Member {
  readonly slot: Slot;
  /** Crashes. */
  restarts = 0;
  storage: ProverStorage | undefined;
  /** What its `Worker` was started with. */
  plan: Plan | undefined;
  readonly #hooks: Hooks;
  #condition: WorkerState["condition"] = "starting";
  #worker: Worker | undefined;
  /** What its threads say when they end. */
  #threads: BroadcastChannel | undefined;
  #status: Status | undefined;
  #key: string | undefined;
  /** What earlier `Worker`s of it did. */
  #earlier: Totals = NO_TOTALS;
  #silentMs = 0;
  #halted: (() => void) | undefined;
  #haltMs = 0;

  constructor(slot: Slot, hooks: Hooks) {
    this.slot = slot;
    this.#hooks = hooks;
  }

  /** What there is to show. */
  get state(): WorkerState {
    const totals = addTotals(this.#earlier, this.#status?.totals ?? NO_TOTALS);
    const status = this.#status && { ...this.#status, totals };
    return { slot: this.slot.number, condition: this.#condition, restarts: this.restarts, key: this.#key, status };
  }

  /** All that it did. */
  get totals(): Totals {
    return addTotals(this.#earlier, this.#status?.totals ?? NO_TOTALS);
  }

  /** Whether there is a `Worker` that works or is about to. */
  get isAlive(): boolean {
    return this.#worker !== undefined;
  }

  /** Starts a `Worker`. */
  launch(start: Start, plan: Plan): void {
    const worker = newWorker();
    this.plan = plan;
    this.#worker = worker;
    this.#condition = "starting";
    this.#silentMs = 0;
    worker.onmessage = ({ data }: MessageEvent<FromWorker>) => {
      if (worker === this.#worker) this.#hear(data);
    };
    worker.onerror = (event) => {
      event.preventDefault();
      const text = event.message || NOT_LOADED;
      if (worker === this.#worker) this.#crashed("crash", text);
    };
    worker.onmessageerror = () => {
      if (worker === this.#worker) this.#crashed("crash", "what it says can't be read");
    };
    this.#threads = new BroadcastChannel(start.channel);
    this.#threads.onmessage = ({ data }: MessageEvent<string>) => {
      if (worker === this.#worker) this.#crashed(causeOfTrap(start.memory), `one of its threads: ${data}`);
    };
    this.tell({ kind: "start", start });
    this.#hooks.changed();
  }

  /** Tells it something, if there is a `Worker`. */
  tell(message: ToWorker): void {
    this.#worker?.postMessage(message);
  }

  /** Looks after it; `elapsedMs` have passed in which it could have spoken. */
  check(elapsedMs: number): void {
    if (!this.#worker) return;
    this.#silentMs += elapsedMs;
    this.#haltMs += elapsedMs;
    if (this.#halted && (this.#silentMs > STOP_IDLE_MS || this.#haltMs > STOP_LIMIT_MS)) return this.#end();
    const limit = this.#condition === "starting" ? START_LIMIT_MS : SILENCE_LIMIT_MS;
    const minutes = limit / 60_000;
    if (this.#silentMs > limit) return this.#crashed("unresponsive", `it has said nothing for ${minutes} minutes`);
    if (!this.#halted) this.tell({ kind: "ping" });
  }

  /** Stops in order: what is folded is handed in. Resolves when there is no `Worker` any more. */
  halt(): Promise<void> {
    if (!this.#worker) return Promise.resolve();
    this.#condition = "stopping";
    this.#silentMs = 0;
    this.#haltMs = 0;
    this.tell({ kind: "stop" });
    this.#hooks.changed();
    return new Promise((resolve) => {
      const before = this.#halted;
      this.#halted = () => {
        before?.();
        resolve();
      };
    });
  }

  /** Ends it at once. */
  #end(): void {
    this.#worker?.terminate();
    this.#worker = undefined;
    this.#threads?.close();
    this.#earlier = this.totals;
    const gone = { totals: NO_TOTALS, link: "off", activity: "idle", rowsPerSecond: 0 } as const;
    this.#status = this.#status && { ...this.#status, ...gone };
    this.#condition = "restarting";
    const halted = this.#halted;
    this.#halted = undefined;
    halted?.();
    this.#hooks.changed();
  }

  /** Ends it at once and gives its slot back. */
  discard(): void {
    this.#end();
    this.slot.release();
  }

  #hear(message: FromWorker): void {
    // An answer to a ping does not say that stopping gets on.
    if (message.kind !== "pong" || !this.#halted) this.#silentMs = 0;
    switch (message.kind) {
      case "ready":
        this.#key = message.key;
        this.storage = message.storage;
        if (this.#condition === "starting") this.#condition = "running";
        this.#hooks.ready(this);
        return this.#hooks.changed();
      case "status":
        this.#status = message.status;
        return this.#hooks.changed();
      case "verdict":
        return this.#hooks.verdict(this, message.verdict);
      case "note":
        return this.#hooks.note(this, message.text);
      case "done":
        this.#status = message.status;
        return this.#halted ? this.#end() : this.#crashed("crash", "it has stopped by itself");
      case "crashed":
        return this.#crashed(message.cause, message.text);
    }
  }

  #crashed(cause: Cause | "unresponsive", text: string): void {
    const wasHalted = this.#halted !== undefined;
    this.#end();
    if (wasHalted) return;
    this.restarts += 1;
    this.#hooks.crashed(this, cause, text);
  }
}

const { origin: HOME } = new URL(import.meta.url);
/** What is wrong when a worker ends before its code runs. */
const NOT_LOADED =
  `its code can't be loaded from ${HOME}: look at the network, and at this page's policy, whose worker-src and ` +
  "script-src must allow that origin, and blob: where it is another one than the page's";

type ProverStorage = Extract<FromWorker, { kind: "ready" }>["storage"];

/** A worker with this package's code, which may lie at another origin than the page: that one a Blob imports. */
function newWorker(): Worker {
  // Written out, because that is what bundlers look for.
  if (HOME === location.origin) return new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
  const { href } = new URL("./worker.js", import.meta.url);
  const source = new Blob([`import ${JSON.stringify(href)};`], { type: "text/javascript" });
  const blob = URL.createObjectURL(source);
  const worker = new Worker(blob, { type: "module" });
  // It is read when the worker starts, which is over when it says something for the first time.
  worker.addEventListener("message", () => URL.revokeObjectURL(blob), { once: true });
  worker.addEventListener("error", () => URL.revokeObjectURL(blob), { once: true });
  return worker;
}
