// The prover in Node: one prefix an invocation, or for as long as a program likes with `drive`. WebSockets are those of
// the package `ws`, because not every Node has its own.

import { readFile } from "node:fs/promises";
import { WebSocket as Socket } from "ws";

import { download } from "./download.js";
import type { Host } from "./drive.js";
import { openFolder } from "./files.js";
import { pull } from "./pull.js";
import type { Pulled, PullOptions } from "./pull.js";
import { createPushHandler as createHandler } from "./push.js";
import type { PushHandler, PushOptions } from "./push.js";
import * as wasm from "./wasm/single/crowdfold_prover.js";

export { drive } from "./drive.js";
export type { DriveEvent, Driver, Host, Settings } from "./drive.js";
export { openFolder } from "./files.js";
export { Refused } from "./pull.js";
export type { Pulled, PullOptions } from "./pull.js";
export { listener } from "./listener.js";
export * from "./push-stores.js";
export type { PushCache, PushCoordinator, PushHandler, PushOptions } from "./push.js";
export type * from "./types.js";

/** Memory that the prover says it has, unless it is told otherwise. */
const MEMORY_BYTES = 2 ** 30;
/** Bytes of a message at most; the prover refuses what is longer than the protocol's frames. */
const MAX_MESSAGE_BYTES = 2 ** 20;

/** What an invocation in Node is to do. */
export interface NodeOptions extends PullOptions {
  /** Folder for the identity, parameters, and proofs that are not delivered; without it nothing is kept. */
  folder?: string;
}

let loading: Promise<unknown> | undefined;

/** Loads the prover, once. */
export async function load(): Promise<typeof wasm> {
  loading ??= readFile(new URL("./wasm/single/crowdfold_prover_bg.wasm", import.meta.url)).then((bytes) =>
    wasm.initSync({ module: bytes }),
  );
  await loading;
  return wasm;
}

/** What Node is to a session without a folder: a network. */
export const network: Host = {
  fetchParameters: (url) => download(url),
  dial(url, protocol) {
    const socket = new Socket(url, protocol, { maxPayload: MAX_MESSAGE_BYTES });
    // One that is given up while it dials says so to nobody.
    socket.on("error", () => {});
    return socket as unknown as WebSocket;
  },
  breathe: () => new Promise((resolve) => setImmediate(resolve)),
};

/**
 * Folds one prefix of a segment and delivers it.
 *
 * @throws {Refused} if the coordinator does not want this prover
 * @throws {CrowdfoldError} if the options are wrong
 */
export async function runOnce(options: NodeOptions): Promise<Pulled> {
  await load();
  const folder = options.folder === undefined ? undefined : await openFolder(options.folder);
  const identity = options.identity ?? (await folder?.identity());
  const cached = (await folder?.cached()) ?? [];
  const memoryBytes = MEMORY_BYTES;
  try {
    return await pull(wasm, { ...options, identity }, { ...network, ...folder }, { memoryBytes, cached });
  } catch (error) {
    // The instance is of no more use after a trap.
    if (error instanceof WebAssembly.RuntimeError) wasm.__wbg_reset_state();
    throw error;
  }
}

/**
 * Makes a handler of requests, by which coordinators post tasks. What `runOnce` folds in the same process ends too
 * if a task traps.
 *
 * @throws {RangeError} if the options can't be
 */
export function createPushHandler(options: PushOptions): PushHandler {
  return createHandler(load, options);
}
