// What the page and its workers say to each other.

import type { Cause } from "./plan.js";
import type { Status, Verdict } from "./types.js";
import type { Variant } from "./variants.js";

/** What a worker begins with. */
export interface Start {
  /** Origin of the coordinator, under which it is dialled, and what is stored lies. */
  readonly coordinator: string;
  readonly payout: string;
  /** The browser's key, of which each slot has one of its own. */
  readonly identity: Uint8Array;
  readonly slot: { readonly number: number; readonly isOwn: boolean };
  readonly variant: Variant;
  readonly module: WebAssembly.Module;
  /** Shared memory, for the build with threads. */
  readonly memory: WebAssembly.Memory | undefined;
  readonly threads: number;
  /** Name of the `BroadcastChannel` on which its threads report what ended them. */
  readonly channel: string;
  readonly memoryBytes: number;
  /** The speed as an earlier run measured it, or a guess. */
  readonly rowsPerSecond: number;
  readonly settings: Settings;
  readonly isPaused: boolean;
}

/** What can change while it runs. */
export interface Settings {
  /** Part of the time that it folds, above 0, at most 1. */
  readonly duty: number;
  /** Bytes a second that it sends; 0 for no limit. */
  readonly bandwidth: number;
}

/** What the page tells a worker. */
export type ToWorker =
  | { readonly kind: "start"; readonly start: Start }
  | { readonly kind: "pause" | "resume" | "stop" | "ping" }
  /** The network may be back: do not wait for the next attempt to connect. */
  | { readonly kind: "nudge" }
  | { readonly kind: "set"; readonly settings: Settings };

/** What a worker tells the page. After `done` and `crashed` nothing more comes. */
export type FromWorker =
  | { readonly kind: "ready"; readonly key: string; readonly storage: "files" | "records" | "memory" }
  | { readonly kind: "pong" }
  | { readonly kind: "status"; readonly status: Status }
  | { readonly kind: "verdict"; readonly verdict: Verdict }
  | { readonly kind: "note"; readonly text: string }
  | { readonly kind: "done"; readonly status: Status }
  | { readonly kind: "crashed"; readonly cause: Cause; readonly text: string };
