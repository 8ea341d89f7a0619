// One prefix an invocation: connects, folds as much of one segment as its budget allows, hands it in, and ends. The part
// of it that is the same in Node, Deno and Workers.

import { drive } from "./drive.js";
import type { DriveEvent, Host } from "./drive.js";
import type { SessionOptions, Status, Wasm } from "./types.js";

/** Milliseconds in which the work of an invocation is begun and folded, unless it says otherwise. */
const BUDGET_MS = 20_000;
/** Milliseconds that an invocation waits for work, unless it says otherwise. */
const IDLE_MS = 10_000;
/** Milliseconds for the proof's making, its delivery and its verdict, unless it says otherwise. */
const DELIVER_MS = 60_000;
/** Bytes of finished proofs, the one being folded among them: room for one check-in beside the last proof. */
const HELD_BYTES = 2 ** 24;

/** What an invocation is to do. */
export interface PullOptions {
  /** Where the coordinator is: `https://`, `http://`, `wss://` or `ws://` with a host and perhaps a port. */
  url: string;
  /** Secret key that names the prover, 32 bytes or their hexadecimal digits; without it there is a new one. */
  identity?: Uint8Array | string;
  /** Ethereum address that is paid. */
  payout: string;
  /** Milliseconds from the start after which no step is begun; 20 000 by default. A step that would end later is not begun. */
  budgetMs?: number;
  /** Steps after which it ends; no limit by default. */
  steps?: number;
  /** Milliseconds after which it ends if there is no work; 10 000 by default. */
  idleMs?: number;
  /** Milliseconds for making and delivering the proof, and its verdict; 60 000 by default. */
  deliverMs?: number;
  /** Memory that it says it has. */
  memoryBytes?: number;
  /** Told of what happens. */
  on?: (event: DriveEvent) => void;
}

/** What a host knows of itself. */
export interface Surroundings {
  /** Memory that the module may take. */
  memoryBytes: number;
  /** Digests of parameters that it has cached. */
  cached?: string[];
}

/** What came of an invocation. */
export interface Pulled {
  /** Steps folded. */
  steps: number;
  /** Steps that are credited or paid for so far. */
  credited: number;
  /** Whether everything folded was delivered, and got its verdict. */
  delivered: boolean;
  /** Milliseconds that it took. */
  elapsedMs: number;
  /** Peak of the module's memory. */
  memoryBytes: number;
  /** The public key that names the prover. */
  key: string;
  /** The last status. */
  status: Status;
}

/** The coordinator does not want this prover; the message says what to do. */
export class Refused extends Error {
  override name = "Refused";
}

/** The speed as the last invocation measured it, for the coordinator's first guess at the next one. */
let rowsPerSecond = 0;

/**
 * Runs one invocation.
 *
 * @throws {Refused} if the coordinator does not want this prover
 * @throws {CrowdfoldError} if the options are wrong
 */
export async function pull(
  wasm: Wasm,
  options: PullOptions,
  host: Host,
  { memoryBytes, cached = [] }: Surroundings,
): Promise<Pulled> {
  const began = performance.now();
  const { budgetMs = BUDGET_MS, idleMs = IDLE_MS, deliverMs = DELIVER_MS, steps = Infinity } = options;
  const identity = bytes(options.identity ?? crypto.getRandomValues(new Uint8Array(32)));
  const session: SessionOptions = {
    url: options.url,
    identity,
    payout: options.payout,
    host: "edge",
    threads: 1,
    memoryBytes: options.memoryBytes ?? memoryBytes,
    heldBytes: HELD_BYTES,
    tasks: 1,
    rowsPerSecond,
    cached,
  };
  const hasBudget = budget(budgetMs, idleMs, steps);
  let isRefused = false;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const until = (status: Status, elapsedMs: number) => {
    isRefused = status.link === "refused";
    const isDue = isRefused || !hasBudget(status, elapsedMs);
    if (isDue) timer = setTimeout(() => driver.leave(), deliverMs);
    return isDue;
  };
  const driver = drive(wasm, session, host, { until }, options.on ?? (() => {}));
  try {
    const status = await driver.done;
    rowsPerSecond = status.rowsPerSecond || rowsPerSecond;
    if (isRefused) throw new Refused(status.refusal ?? "the coordinator does not want this prover");
    return {
      steps: status.totals.foldedSteps,
      credited: status.totals.creditedSteps,
      delivered: status.link === "off",
      elapsedMs: Math.round(performance.now() - began),
      memoryBytes: wasm.memory_bytes(),
      key: wasm.publicKey(identity),
      status,
    };
  } finally {
    clearTimeout(timer);
  }
}

/** Says after each turn whether there is budget for another one. */
function budget(budgetMs: number, idleMs: number, steps: number): (status: Status, elapsedMs: number) => boolean {
  let firstMs: number | undefined;
  return ({ activity, totals: { foldedSteps }, waiting }, elapsedMs) => {
    if (activity === "folding") firstMs ??= elapsedMs;
    if (firstMs === undefined) return elapsedMs < budgetMs && (elapsedMs < idleMs || waiting > 0);
    const stepMs = foldedSteps > 0 ? (elapsedMs - firstMs) / foldedSteps : 0;
    // One segment: what comes after it is for another invocation.
    return foldedSteps < steps && elapsedMs + stepMs < budgetMs && (activity === "folding" || foldedSteps === 0);
  };
}

/** An identity as bytes; what is none is refused by the session. */
function bytes(identity: Uint8Array | string): Uint8Array {
  if (typeof identity !== "string") return identity;
  const digits = identity.replace(/^0x/, "");
  return /^([0-9a-fA-F]{2})*$/.test(digits)
    ? Uint8Array.from(digits.match(/../g) ?? [], (byte) => Number.parseInt(byte, 16))
    : new Uint8Array();
}
