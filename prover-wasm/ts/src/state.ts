// What a page shows of its prover.

import type { Status, Totals, Verdict } from "./types.js";
import type { Variant } from "./variants.js";

/**
 * What the prover is doing. A `paused` one has handed in what was folded, or is doing so; one that `failed` has ended,
 * and `start` tries again.
 */
export type Phase = "off" | "starting" | "running" | "paused" | "stopping" | "failed";

/** One worker. */
export interface WorkerState {
  /** Its place in this browser. */
  readonly slot: number;
  readonly condition: "starting" | "running" | "restarting" | "stopping";
  /** Times that it was started again after it failed. */
  readonly restarts: number;
  /** What names it to the coordinator: 64 hexadecimal digits. */
  readonly key: string | undefined;
  /** What it last said of itself; its totals are those of all its runs in this page. */
  readonly status: Status | undefined;
}

/** All workers together. */
export interface Sum {
  /** `open` if one of them is connected, else how the first stands. */
  readonly link: Status["link"];
  readonly folding: number;
  readonly rowsPerSecond: number;
  readonly waiting: number;
  readonly heldProofs: number;
  readonly heldBytes: number;
  readonly totals: Totals;
}

/** The whole state. */
export interface ProverState {
  readonly phase: Phase;
  /** Why it failed and what to do, if it did. */
  readonly failure: string | undefined;
  /** The build that runs. */
  readonly variant: Variant | undefined;
  /** Threads in all, which is also the number of workers where each has but one. */
  readonly threads: number;
  /** Memory of each worker in MiB. */
  readonly memoryMiB: number;
  /** Where finished proofs wait for their verdict: `memory` loses them with the page. */
  readonly storage: "files" | "records" | "memory" | undefined;
  /** Whether the browser says that there is a network. */
  readonly isOnline: boolean;
  readonly workers: readonly WorkerState[];
  readonly sum: Sum;
}

/** Something went wrong and was dealt with. */
export interface Trouble {
  readonly kind: "crash" | "memory" | "blocked" | "unresponsive" | "refused";
  /** What happened, and what is done about it. */
  readonly text: string;
  readonly slot: number | undefined;
}

/** The events of a prover, by name, with what their `detail` is. */
export interface ProverEvents {
  /** Something in the state has changed. */
  state: ProverState;
  /** The coordinator has decided about a proof. */
  verdict: Verdict & { readonly slot: number };
  /** For a log. */
  note: { readonly text: string; readonly slot: number | undefined };
  trouble: Trouble;
  /** It has ended, for a reason that a person has to look at. */
  failed: { readonly text: string };
}

/** Nothing yet. */
export const NO_TOTALS: Totals = {
  foldedSteps: 0,
  creditedSteps: 0,
  accepted: 0,
  spare: 0,
  duplicate: 0,
  notNeeded: 0,
  refused: 0,
  superseded: 0,
};

/** Two totals together. */
export function addTotals(a: Totals, b: Totals): Totals {
  const sums = Object.keys(NO_TOTALS).map((key) => [key, a[key as keyof Totals] + b[key as keyof Totals]]);
  return Object.fromEntries(sums) as Totals;
}

/** What all workers have done together; `earlier` is that of workers that are gone. */
export function sumOf(workers: readonly WorkerState[], earlier: Totals): Sum {
  const statuses = workers.flatMap(({ status }) => status ?? []);
  const add = (of: (status: Status) => number) => statuses.reduce((sum, status) => sum + of(status), 0);
  return {
    link: statuses.some(({ link }) => link === "open") ? "open" : (statuses[0]?.link ?? "off"),
    folding: add(({ activity }) => (activity === "folding" ? 1 : 0)),
    rowsPerSecond: add(({ activity, rowsPerSecond }) => (activity === "folding" ? rowsPerSecond : 0)),
    waiting: add(({ waiting }) => waiting),
    heldProofs: add(({ heldProofs }) => heldProofs),
    heldBytes: add(({ heldBytes }) => heldBytes),
    totals: statuses.reduce((sum, { totals }) => addTotals(sum, totals), earlier),
  };
}
