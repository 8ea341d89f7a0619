// How faults come to light, and what they are taken for.

import type { Cause } from "./plan.js";

/** Pages of 64 KiB that must still be there after a trap, else it is taken for one from a lack of memory. */
const SPARE_PAGES = 512;

/** What ended a worker: starting it again as before would not help where memory ran out. */
export function causeOf(error: unknown, memory: WebAssembly.Memory | undefined): Cause {
  if (error instanceof RangeError || (error as { kind?: string })?.kind === "Memory") return "memory";
  return error instanceof WebAssembly.RuntimeError ? causeOfTrap(memory) : "crash";
}

/** What a trap comes from. Code that finds no memory just traps. */
export function causeOfTrap(memory: WebAssembly.Memory | undefined): Cause {
  try {
    memory?.grow(SPARE_PAGES);
    return "crash";
  } catch {
    return "memory";
  }
}

/**
 * Lets the workers that are made from now on in this worker say on a channel what ended them. They are the threads of
 * one prover, and where one of them ends, the others wait for it for ever, this one among them: only the page can help.
 */
export function reportThreads(channel: string): void {
  const { Worker } = globalThis;
  globalThis.Worker = class extends Worker {
    constructor(url: string | URL, options?: WorkerOptions) {
      const source = `
        import ${JSON.stringify(String(url))};
        const report = (text) => new BroadcastChannel(${JSON.stringify(channel)}).postMessage(text);
        addEventListener("error", ({ message }) => report(message));
        addEventListener("unhandledrejection", ({ reason }) => report(String(reason)));
      `;
      // It is read soon, and gone with the worker.
      super(URL.createObjectURL(new Blob([source], { type: "text/javascript" })), options);
    }
  };
}
