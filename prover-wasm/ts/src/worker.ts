// The worker of a prover in a page: one slot, one connection, one build of the prover. It does what the page says, and
// tells it what happens; the page decides what becomes of a worker that fails.

import { drive, said } from "./drive.js";
import type { Driver, DriveEvent, Host } from "./drive.js";
import { causeOf, reportThreads } from "./faults.js";
import type { FromWorker, Start, ToWorker } from "./messages.js";
import { cachedParameters, parameters } from "./parameters.js";
import { openProofs } from "./proofs.js";
import type { ProofStore } from "./proofs.js";
import type { Status } from "./types.js";

/** Milliseconds between two statuses that the page is told; the last one always comes. */
const STATUS_MS = 100;

/** What this file uses of its global scope, whose types can't be loaded beside those of pages. */
interface Scope {
  onmessage: ((event: MessageEvent<ToWorker>) => void) | null;
  postMessage(message: FromWorker): void;
  addEventListener(type: "securitypolicyviolation", listener: (event: SecurityPolicyViolationEvent) => void): void;
}
const scope = globalThis as unknown as Scope;

let driver: Driver | undefined;
/** What came before there was a driver. */
const waiting: ToWorker[] = [];
let memory: WebAssembly.Memory | undefined;
let isStarting = true;

scope.onmessage = ({ data }) => {
  if (data.kind === "start") start(data.start).catch(crashed);
  else if (data.kind === "ping") scope.postMessage({ kind: "pong" });
  else if (driver) obey(driver, data);
  else waiting.push(data);
};

// Threads come from a Blob, which a page's policy may forbid: then they would be waited for in vain.
scope.addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI }) => {
  if (!isStarting) return;
  scope.postMessage({
    kind: "crashed",
    cause: "blocked",
    text: `this page's Content-Security-Policy (${violatedDirective}) forbids ${blockedURI}`,
  });
});

function obey(driver: Driver, message: ToWorker): void {
  switch (message.kind) {
    case "pause":
      return driver.pause();
    case "resume":
      return driver.resume();
    case "stop":
      return driver.stop();
    case "nudge":
      return driver.nudge();
    case "set":
      return driver.set(message.settings);
  }
}

async function start(options: Start): Promise<void> {
  const { coordinator, slot, variant, threads } = options;
  const wasm = await import(new URL(`./wasm/${variant}/crowdfold_prover.js`, import.meta.url).href);
  const raw = await wasm.default({ module_or_path: options.module, memory: options.memory });
  memory = options.memory ?? raw.memory;
  reportThreads(options.channel);
  await wasm.initThreadPool?.(threads);
  isStarting = false;
  const identity: Uint8Array = wasm.deriveIdentity(options.identity, slot.number);
  const key: string = wasm.publicKey(identity);
  const proofs = await openProofs(slot.isOwn ? { coordinator, number: slot.number, key } : undefined);
  const session = {
    url: coordinator,
    identity,
    payout: options.payout,
    host: "tab" as const,
    threads,
    memoryBytes: options.memoryBytes,
    rowsPerSecond: options.rowsPerSecond,
    cached: await cachedParameters(),
  };
  driver = drive(wasm, session, host(proofs), options.settings, teller());
  if (options.isPaused) driver.pause();
  scope.postMessage({ kind: "ready", key, storage: proofs.where });
  for (const message of waiting.splice(0)) obey(driver, message);
  scope.postMessage({ kind: "done", status: await driver.done });
}

/** What the prover has beside its connection. */
function host(proofs: ProofStore): Host {
  const given = new Set<string>();
  return {
    async fetchParameters(url, id, purpose) {
      const name = `${id}/${purpose}`;
      const isRefused = given.has(name);
      given.add(name);
      return parameters(url, id, purpose, isRefused);
    },
    keep: proofs.keep,
    forget: proofs.forget,
    stored: proofs.stored,
  };
}

/** Tells the page what happens, statuses no more often than it can use. */
function teller(): (event: DriveEvent) => void {
  let latest: Status | undefined;
  let isResting = false;
  const tell = () => {
    isResting = latest !== undefined;
    if (!latest) return;
    scope.postMessage({ kind: "status", status: latest });
    latest = undefined;
    setTimeout(tell, STATUS_MS);
  };
  return (event) => {
    if (event.kind !== "status") return scope.postMessage(event);
    latest = event.status;
    if (!isResting) tell();
  };
}

/** The end of this worker: the page ends it. */
function crashed(error: unknown): void {
  scope.postMessage({ kind: "crashed", cause: causeOf(error, memory), text: said(error) });
}
