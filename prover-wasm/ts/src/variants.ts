// Which build of the prover this browser can run.

/** A build of the prover: a folder of the package. */
export type Variant = "threads" | "single" | "wide";

/** What a browser's WebAssembly can do beyond its first version. */
export interface Features {
  /** Vectors of 128 bits: no build does without. */
  readonly simd: boolean;
  /** Atomics, and memory that workers share. The page may still not be allowed to make such memory. */
  readonly threads: boolean;
  /** Products and sums of 128 bits. */
  readonly wide: boolean;
}

// A module is its header, one function's type, the function, and its code; `memory` comes between.
const HEADER = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0];
const FUNCTION = [3, 2, 1, 0];
const SHARED_MEMORY = [5, 4, 1, 3, 1, 1];

/** `i32.const 0`, `i32x4.splat`: a vector. */
const SIMD = [...HEADER, 1, 5, 1, 0x60, 0, 1, 0x7b, ...FUNCTION, 10, 8, 1, 6, 0, 0x41, 0, 0xfd, 0x11, 0x0b];
/** `i32.const 0`, `i32.atomic.load`, `drop`, on a shared memory. */
const ATOMICS = [
  ...HEADER, 1, 4, 1, 0x60, 0, 0, ...FUNCTION, ...SHARED_MEMORY, 10, 11, 1, 9, 0, 0x41, 0, 0xfe, 0x10, 2, 0, 0x1a, 0x0b,
];
/** `i64.const 0` twice, `i64.mul_wide_u`: two numbers. */
const WIDE = [
  ...HEADER, 1, 6, 1, 0x60, 0, 2, 0x7e, 0x7e, ...FUNCTION, 10, 10, 1, 8, 0, 0x42, 0, 0x42, 0, 0xfc, 0x16, 0x0b,
];

/** Asks this browser's WebAssembly what it can do; nothing is downloaded for it. */
export function features(): Features {
  if (typeof WebAssembly !== "object") return { simd: false, threads: false, wide: false };
  const takes = (module: number[]) => WebAssembly.validate(Uint8Array.from(module));
  const simd = takes(SIMD);
  return {
    simd,
    threads: simd && typeof SharedArrayBuffer === "function" && takes(ATOMICS),
    wide: simd && takes(WIDE),
  };
}

/** What the choice depends on beside the features. */
export interface Surroundings {
  /** Whether this page is cross-origin isolated, so that it may share memory among workers. */
  readonly isIsolated: boolean;
  /** Whether the package comes from the page's own origin. */
  readonly isOwn: boolean;
}

/**
 * The build that proves fastest here.
 *
 * @throws {Error} for a browser without SIMD: it says what to do
 */
export function chooseVariant(can: Features, { isIsolated, isOwn }: Surroundings): Variant {
  if (!can.simd) {
    throw new Error("this browser's WebAssembly has no SIMD: update it, or use one from 2023 or later");
  }
  if (can.threads && isIsolated && isOwn) return "threads";
  return can.wide ? "wide" : "single";
}
