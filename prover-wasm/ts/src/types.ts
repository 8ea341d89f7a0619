// Types that all hosts share. Those of the session are written beside it, in Rust.

export type {
  CrowdfoldError,
  Purpose,
  SessionHooks,
  SessionOptions,
  Status,
  StoredProof,
  Totals,
  Verdict,
} from "./wasm/single/crowdfold_prover.js";

/** A build of the prover, instantiated. That with threads has more; see `variants.ts`. */
export type Wasm = Pick<typeof import("./wasm/single/crowdfold_prover.js"), "Session" | "memory_bytes" | "publicKey">;
