// How many workers run, with how much memory, and what comes next when that is too much for this machine.

import type { Variant } from "./variants.js";

/** Memory of the build with threads, in MiB, from what fits the largest jobs down to what a phone has. */
export const MEMORY_STEPS_MIB = [2048, 1024, 512] as const;
/** Memory that an isolated worker may use, in MiB: the largest step circuit, and proofs that wait for their verdict. */
export const ISOLATED_MIB = 256;
/** With less memory, in MiB, no program can be proved: such a plan is not tried. */
export const LEAST_MIB = 128;
/** Threads, or isolated workers, at most, however many cores there are. */
export const MAX_THREADS = 32;

/** What to run. */
export interface Plan {
  readonly variant: Variant;
  /** Workers of their own slot each. */
  readonly workers: number;
  /** Threads that each of them folds with. */
  readonly threads: number;
  /** Memory that each of them may use, in MiB. */
  readonly memoryMiB: number;
}

/** What made a plan fail. */
export type Cause = "memory" | "crash" | "blocked";

/** The plan to begin with. `memoryMiB` is for all workers together. */
export function firstPlan(variant: Variant, threads: number, memoryMiB: number): Plan {
  const wanted = Math.min(Math.max(Math.floor(threads), 1), MAX_THREADS);
  if (variant === "threads") {
    const memory = MEMORY_STEPS_MIB.find((step) => step <= memoryMiB) ?? memoryMiB;
    return { variant, workers: 1, threads: wanted, memoryMiB: memory };
  }
  // As many as there is memory for.
  const workers = Math.min(wanted, Math.max(Math.floor(memoryMiB / ISOLATED_MIB), 1));
  return { variant, workers, threads: 1, memoryMiB: Math.min(memoryMiB, ISOLATED_MIB) };
}

/**
 * The next plan, which asks for less; `undefined` if this one asks for the least already.
 *
 * @param isolated the build for isolated workers
 */
export function lowerPlan(plan: Plan, cause: Cause, isolated: Variant): Plan | undefined {
  if (plan.variant === "threads") return lowerThreads(plan, cause, isolated);
  if (cause === "blocked") return undefined;
  if (plan.workers > 1) return { ...plan, workers: Math.floor(plan.workers / 2) };
  const memoryMiB = Math.floor(plan.memoryMiB / 2);
  return cause === "memory" && memoryMiB >= LEAST_MIB ? { ...plan, memoryMiB } : undefined;
}

function lowerThreads(plan: Plan, cause: Cause, isolated: Variant): Plan {
  const { threads } = plan;
  switch (cause) {
    case "blocked":
      return firstPlan(isolated, threads, plan.memoryMiB);
    case "crash":
      return threads > 1 ? { ...plan, threads: Math.floor(threads / 2) } : firstPlan(isolated, 1, plan.memoryMiB);
    case "memory": {
      const memory = MEMORY_STEPS_MIB.find((step) => step < plan.memoryMiB);
      return memory === undefined ? firstPlan(isolated, threads, plan.memoryMiB) : { ...plan, memoryMiB: memory };
    }
  }
}

/** A plan in words. */
export function inWords({ variant, workers, threads, memoryMiB }: Plan): string {
  const count = (number: number, what: string) => (number === 1 ? `one ${what}` : `${number} ${what}s`);
  const memory = `${memoryMiB} MiB`;
  if (variant === "threads") return `${count(threads, "thread")} in ${memory} of shared memory`;
  return `${count(workers, "worker")} with ${memory}${workers > 1 ? " each" : ""}`;
}
