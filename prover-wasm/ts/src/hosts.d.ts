// What the adapters use of their hosts, whose own declarations can't be loaded beside each other.

declare module "*.wasm" {
  const module: WebAssembly.Module;
  export default module;
}

declare module "ws" {
  /** A WebSocket as in pages, which also emits. */
  export class WebSocket {
    constructor(url: string, protocol: string, options?: { maxPayload?: number });
    on(event: "error", listener: (error: Error) => void): void;
  }
}

declare module "node:fs/promises" {
  export function mkdir(path: string, options: { recursive: true }): Promise<unknown>;
  export function readFile(path: string | URL): Promise<Uint8Array<ArrayBuffer>>;
  export function readdir(path: string): Promise<string[]>;
  export function rename(from: string, to: string): Promise<void>;
  export function rm(path: string, options: { force: true }): Promise<void>;
  export function stat(path: string): Promise<{ mode: number; size: number }>;
  export function writeFile(
    path: string,
    data: Uint8Array | string,
    options: { flag?: string; flush?: boolean; mode?: number },
  ): Promise<void>;
}

declare module "node:path" {
  export const sep: string;
  export function join(...parts: string[]): string;
}

/** Node's way to give events their turn. */
declare function setImmediate(resume: () => void): unknown;
