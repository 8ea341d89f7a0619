// What a page chooses, checked.

import { MAX_THREADS, MEMORY_STEPS_MIB } from "./plan.js";

/** What `createProver` takes. */
export interface ProverOptions {
  /** The coordinator: `https://host`, or with a port; `http` only where pages may use it. Nothing after it. */
  readonly url: string;
  /** Address that is paid: `0x` and 40 hexadecimal digits. */
  readonly payout: string;
  /** Key that names the prover: 64 hexadecimal digits. Without it, one is made and kept in this browser. */
  readonly identity?: string;
  /** Threads that fold, 1 to 32. Default: one fewer than there are cores. */
  readonly threads?: number;
  /** Memory that it may use, in MiB: 128 to 2048. Default: 2048, or half of what the browser says there is. */
  readonly memoryMiB?: number;
  /** Part of the time that it folds: above 0, at most 1, which is the default. */
  readonly duty?: number;
  /** Bits a second that it sends at most: 0 for no limit, which is the default, or at least 64000. */
  readonly bandwidth?: number;
  /** `never`: isolated workers of one thread each even where they could share memory. */
  readonly isolated?: "auto" | "never";
}

/** What can be changed while it runs. */
export type Changes = Partial<Pick<ProverOptions, "threads" | "duty" | "bandwidth">>;

/** Memory in MiB that is asked for at most, and at least. */
const [MOST_MIB] = MEMORY_STEPS_MIB;
const LEAST_MIB = 128;
/** Bits a second of a line at least: on a slower one, answers to pings come too late. */
export const LEAST_BANDWIDTH = 64_000;

/** Options with everything that was left out. */
export interface Chosen {
  /** The coordinator's origin, with http or https. */
  readonly coordinator: string;
  readonly payout: string;
  readonly identity: Uint8Array | undefined;
  readonly threads: number;
  readonly memoryMiB: number;
  readonly duty: number;
  /** Bits a second; 0 for no limit. */
  readonly bandwidth: number;
  readonly isolated: "auto" | "never";
}

/**
 * Checks options and adds what was left out.
 *
 * @throws {TypeError} that says what was expected
 */
export function choose(options: ProverOptions): Chosen {
  const { payout, identity, isolated = "auto" } = options;
  const url = coordinatorUrl(options.url);
  expect("payout", "0x and 40 hexadecimal digits", /^0x[0-9a-f]{40}$/i.test(payout));
  expect("identity", "64 hexadecimal digits", identity === undefined || /^[0-9a-f]{64}$/i.test(identity));
  expect("isolated", '"auto" or "never"', isolated === "auto" || isolated === "never");
  const memoryMiB = options.memoryMiB ?? usualMemory();
  expect("memoryMiB", `a number from ${LEAST_MIB} to ${MOST_MIB}`, memoryMiB >= LEAST_MIB && memoryMiB <= MOST_MIB);
  const key = identity === undefined ? undefined : fromHex(identity);
  const usual = { threads: usualThreads(), duty: 1, bandwidth: 0 };
  return change({ coordinator: url.origin, payout, memoryMiB, isolated, identity: key, ...usual }, options);
}

/** Applies changes. @throws {TypeError} that says what was expected */
export function change(chosen: Chosen, { threads, duty, bandwidth }: Changes): Chosen {
  const changed = {
    ...chosen,
    ...(threads !== undefined && { threads }),
    ...(duty !== undefined && { duty }),
    ...(bandwidth !== undefined && { bandwidth }),
  };
  const isCount = Number.isInteger(changed.threads) && changed.threads >= 1 && changed.threads <= MAX_THREADS;
  expect("threads", `a whole number from 1 to ${MAX_THREADS}`, isCount);
  expect("duty", "a number above 0, at most 1", changed.duty > 0 && changed.duty <= 1);
  const isRate = changed.bandwidth === 0 || (changed.bandwidth >= LEAST_BANDWIDTH && changed.bandwidth < Infinity);
  expect("bandwidth", `0 for no limit, or at least ${LEAST_BANDWIDTH} bits a second`, isRate);
  return changed;
}

function expect(what: string, expected: string, isIt: boolean): void {
  if (!isIt) throw new TypeError(`${what}: expected ${expected}`);
}

function coordinatorUrl(text: string): URL {
  const http = String(text).replace(/^ws/i, "http");
  const url = URL.canParse(http) ? new URL(http) : undefined;
  const isOrigin = url !== undefined && /^https?:$/.test(url.protocol) && `${url.origin}/` === url.href;
  expect("url", "the coordinator's origin and nothing more, such as https://prove.example", isOrigin);
  return url as URL;
}

function usualThreads(): number {
  return Math.min(Math.max((navigator.hardwareConcurrency || 2) - 1, 1), MAX_THREADS);
}

function usualMemory(): number {
  const gib = (navigator as { deviceMemory?: number }).deviceMemory ?? MOST_MIB;
  return Math.min(Math.max(Math.floor((gib * 1024) / 2), LEAST_MIB), MOST_MIB);
}

/** Bytes of hexadecimal digits. */
export function fromHex(text: string): Uint8Array {
  return Uint8Array.from(text.match(/../g) ?? [], (digits) => Number.parseInt(digits, 16));
}

/** Hexadecimal digits of bytes. */
export function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
