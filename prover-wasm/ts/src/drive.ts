// The loop around a session, the same in every host: turns, time between them for everything else, parameters, and proofs
// that outlive the session.

import type { Purpose, SessionHooks, SessionOptions, Status, StoredProof, Verdict, Wasm } from "./types.js";

/** Milliseconds of a rest at most, so that the clock is looked at. */
const MAX_REST_MS = 10_000;
/** Parts of the time that it folds: no less than this. */
const MIN_DUTY = 0.01;

/** Network and storage of a host. What it can't do is left out. */
export interface Host {
  /**
   * Gets the file of parameters at `url`, from a cache if there is one. When it is asked for the same again, what it
   * gave was refused, or not kept.
   */
  fetchParameters(url: string, id: string, purpose: Purpose): Promise<Uint8Array>;
  /** Stores a proof until `forget`. */
  keep?(proof: StoredProof): Promise<void>;
  /** Removes a stored proof, which may not be there. */
  forget?(upload: string): Promise<void>;
  /** The proofs that are stored. */
  stored?(): Promise<StoredProof[]>;
  /** Makes a WebSocket whose binary messages are ArrayBuffers, where there is no such global. */
  dial?(url: string, protocol: string): WebSocket;
  /** Gives other events of the host their turn. */
  breathe?(): Promise<void>;
}

/** What can be chosen, and changed while it runs. */
export interface Settings {
  /** Part of the time that it folds, above 0; 1 by default. */
  duty?: number;
  /** Bytes a second that it sends in the long run; 0, the default, for no limit. */
  bandwidth?: number;
  /** Asked after each turn: once it says true, the session ends in order, with its prefix. */
  until?(status: Status, elapsedMs: number): boolean;
}

/** What happens, for whoever shows it. */
export type DriveEvent =
  | { readonly kind: "status"; readonly status: Status }
  | { readonly kind: "verdict"; readonly verdict: Verdict }
  | { readonly kind: "note"; readonly text: string };

/** A session at work. */
export interface Driver {
  /**
   * The last status, once the session was stopped and has delivered, was refused and stopped, or was left. Rejects with
   * what a turn throws: the module is of no more use then.
   */
  readonly done: Promise<Status>;
  /** Stops folding; what is folded is delivered. */
  pause(): void;
  /** Goes on after `pause`, or tries again after the coordinator refused. */
  resume(): void;
  /** Ends in order: hands in what is folded, and waits for its verdict. */
  stop(): void;
  /** Ends at once. What is stored can be delivered by another session. */
  leave(): void;
  /** The network may be back: do not wait for the next attempt to connect. */
  nudge(): void;
  /** Changes settings. */
  set(settings: Settings): void;
}

/**
 * Starts a session and drives it.
 *
 * @param on told of what happens; it must not throw
 * @throws {CrowdfoldError} if the options are wrong
 */
export function drive(
  wasm: Wasm,
  options: SessionOptions,
  host: Host,
  settings: Settings,
  on: (event: DriveEvent) => void,
): Driver {
  const began = performance.now();
  const note = (text: string) => on({ kind: "note", text });
  const breathe = host.breathe ? { next: () => host.breathe!(), close() {} } : breaths();
  const fetching = new Set<string>();
  let chosen = settings;
  /** Proofs of earlier sessions that wait for room. */
  let stored: StoredProof[] = [];
  let isStopping = false;
  let isOver = false;
  let isBroken = false;
  /** Something came that ends a wait: events of the line a short one, what the owner says a rest, too. */
  const alarm = { isLine: false, isOwner: false, ring: undefined as (() => void) | undefined };

  const hooks: SessionHooks = {
    wake: () => ring("isLine"),
    needParameters: (id, _, purpose) => void give(id, purpose),
    forget: (verdict) => {
      on({ kind: "verdict", verdict });
      forget(verdict.upload);
      restore();
    },
    changed: (status) => on({ kind: "status", status }),
    note,
  };
  if (host.keep) {
    hooks.keep = (proof) => void host.keep!(proof).catch((error) => note(`a proof is not stored: ${said(error)}`));
  }
  if (host.dial) hooks.dial = (url, protocol) => host.dial!(url, protocol);
  const session = new wasm.Session(options, hooks);
  session.setBandwidth(settings.bandwidth ?? 0);

  let last = session.status();

  let reject!: (error: unknown) => void;
  const failed = new Promise<never>((_, rejected) => (reject = rejected));
  const finished = run().then((status) => {
    isOver = true;
    if (!isBroken) session.free();
    return status;
  });
  const done = Promise.race([failed, finished]).finally(() => breathe.close());
  // Whoever wants to know asks for it.
  done.catch(() => {});

  /** The module is broken: nothing of it may be called any more. */
  function fail(error: unknown): void {
    isOver = isBroken = true;
    reject(error);
    alarm.ring?.();
  }

  function ring(what: "isLine" | "isOwner"): void {
    alarm[what] = true;
    alarm.ring?.();
  }

  function forget(upload: string): void {
    host.forget?.(upload).catch((error) => note(`a proof is not removed: ${said(error)}`));
  }

  /** Gives the session what earlier ones did not deliver, as it has room. */
  function restore(): void {
    while (stored.length > 0) {
      const proof = stored[stored.length - 1]!;
      const outcome = session.restore(proof);
      if (outcome === "full") return;
      stored.pop();
      if (outcome === "damaged") {
        note("a stored proof is damaged and removed");
        forget(proof.upload);
      }
    }
  }

  /** Gets parameters and gives them to the session; those that it refuses once more. */
  async function give(id: string, purpose: Purpose): Promise<void> {
    const key = `${id}/${purpose}`;
    // The answer that is under way does for both.
    if (fetching.has(key)) return;
    fetching.add(key);
    const url = `${origin(options.url)}/v1/parameters/${key}`;
    let why = "";
    try {
      for (let attempt = 0; attempt < 2; attempt += 1) {
        const bytes = await host.fetchParameters(url, id, purpose).catch((error) => void (why = said(error)));
        if (!bytes || isOver) break;
        try {
          session.parameters(id, purpose, bytes);
          return;
        } catch (error) {
          if (!isOurs(error)) throw error;
          why = error.message;
        }
      }
      if (!isOver) session.noParameters(id, purpose, why);
    } catch (error) {
      fail(error);
    } finally {
      fetching.delete(key);
      ring("isLine");
    }
  }

  /** Waits so long, or until the alarm rings. */
  async function wait(ms: number, isRest: boolean): Promise<void> {
    const isDue = () => alarm.isOwner || (alarm.isLine && !isRest) || isOver;
    if (!isDue()) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, ms);
        alarm.ring = () => {
          if (!isDue()) return;
          clearTimeout(timer);
          resolve();
        };
      });
    }
    Object.assign(alarm, { isLine: false, isOwner: false, ring: undefined });
  }

  async function run(): Promise<Status> {
    if (host.stored) {
      stored = await host.stored().catch((error) => {
        note(`proofs of earlier sessions can't be read: ${said(error)}`);
        return [];
      });
      restore();
    }
    while (!isOver) {
      const before = performance.now();
      let waitMs: number;
      try {
        waitMs = session.turn();
        last = session.status();
      } catch (error) {
        fail(error);
        break;
      }
      await breathe.next();
      if (last.link === "off" || (isStopping && last.link === "refused")) break;
      if (!isStopping && chosen.until?.(last, performance.now() - began)) stop();
      if (waitMs > 0) {
        await wait(waitMs, false);
      } else if (chosen.duty !== undefined && chosen.duty < 1) {
        const rest = (performance.now() - before) * (1 / Math.max(chosen.duty, MIN_DUTY) - 1);
        await wait(Math.min(rest, MAX_REST_MS), true);
      }
    }
    return last;
  }

  /** Does what the owner says, if there is still a session. */
  function say(act: () => void): void {
    if (isOver) return;
    try {
      act();
    } catch (error) {
      if (isOurs(error)) throw error;
      fail(error);
    }
    ring("isOwner");
  }

  function stop(): void {
    say(() => {
      isStopping = true;
      session.stop();
    });
  }

  return {
    done,
    stop,
    pause: () => say(() => session.pause()),
    resume: () =>
      say(() => {
        isStopping = false;
        session.resume();
      }),
    leave: () => say(() => void (isOver = true)),
    nudge: () => say(() => session.nudge()),
    set: (settings) =>
      say(() => {
        chosen = { ...chosen, ...settings };
        if (settings.bandwidth !== undefined) session.setBandwidth(settings.bandwidth);
      }),
  };
}

/** What an error says. */
export const said = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** Whether an error is an answer of the module, and not the end of it. */
const isOurs = (error: unknown): error is Error => error instanceof Error && error.name === "CrowdfoldError";

/** Where the coordinator's other files are. */
const origin = (url: string) => url.replace(/^ws/i, "http").replace(/\/$/, "");

/** Lets other events have their turn; by messages, because timers wait for milliseconds, in hidden pages for seconds. */
function breaths() {
  if (typeof MessageChannel === "undefined") {
    return { next: () => new Promise<void>((resolve) => setTimeout(resolve, 0)), close() {} };
  }
  const { port1, port2 } = new MessageChannel();
  let resume = () => {};
  port1.onmessage = () => resume();
  return {
    next: () =>
      new Promise<void>((resolve) => {
        resume = resolve;
        port2.postMessage(undefined);
      }),
    close: () => port1.close(),
  };
}
