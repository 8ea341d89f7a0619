/**
 * The prover for pages: `createProver({ url, payout })` and `start`.
 *
 * @module
 */

import type { ProverOptions } from "./options.js";
import { CrowdfoldProver } from "./prover.js";

export type { Changes, ProverOptions } from "./options.js";
export { CrowdfoldProver } from "./prover.js";
export type { Phase, ProverEvents, ProverState, Sum, Trouble, WorkerState } from "./state.js";
export type { Status, Totals, Verdict } from "./types.js";
export type { Variant } from "./variants.js";

/**
 * Makes a prover, which does nothing until `start` is called.
 *
 * @throws {TypeError} for an option of another form: it says what was expected
 */
export function createProver(options: ProverOptions): CrowdfoldProver {
  return new CrowdfoldProver(options);
}
