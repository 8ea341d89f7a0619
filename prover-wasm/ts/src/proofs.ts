// Finished proofs that wait for their verdict, kept so that they outlive the page: in the origin's private file system,
// else in IndexedDB, else not at all. They lie under the slot whose key they were made for.

import { beginningWith, keys, read, remove, write } from "./records.js";
import type { StoredProof } from "./types.js";

/** Bytes of the largest proof that is kept, as the protocol limits it. */
const MAX_PROOF_BYTES = 2 ** 30;
/** Bytes of all proofs of a slot. What does not fit is delivered all the same if the page lives. */
const MAX_SLOT_BYTES = 512 * 2 ** 20;
/** Milliseconds after which nobody wants a proof any more: it is removed unread. */
const MAX_AGE_MS = 7 * 24 * 3_600_000;
/** Folders of the proofs, from the root of the file system. */
const ROOT = ["crowdfold", "proofs"];
/** Bytes before a proof in its file: its task, first step, number of steps, and number of bytes. */
const HEADER_BYTES = 32;

/** The proofs of one slot. Calls are carried out one after the other. */
export interface ProofStore {
  /** Where they lie: `memory` is nowhere, as they are lost with the page. */
  readonly where: "files" | "records" | "memory";
  /** Stores a proof. @throws {Error} if it can't be stored */
  keep(proof: StoredProof): Promise<void>;
  /** Removes a proof, if it is there. */
  forget(upload: string): Promise<void>;
  /**
   * Those of earlier runs, without what was cut short or is too old, which is removed. Whether their bytes are right
   * shows when the prover takes them: it computes their hash.
   */
  stored(): Promise<StoredProof[]>;
}

/** Whose proofs they are: the slot's number and key. */
export interface ProofPlace {
  readonly coordinator: string;
  readonly number: number;
  readonly key: string;
}

/** Opens the proofs of a place; without one, a store that keeps nothing. */
export async function openProofs(place: ProofPlace | undefined): Promise<ProofStore> {
  if (!place) return inMemory();
  const names = [...ROOT, folderName(place.coordinator), `${place.number}-${place.key}`];
  const store = (await inFiles(names)) ?? (await inRecords(names.join("/"))) ?? inMemory();
  return inTurn(store);
}

/** The slots of a coordinator under which proofs wait. */
export async function slotsWithProofs(coordinator: string): Promise<number[]> {
  const slots = new Set<number>();
  try {
    for await (const [name, folder] of entries(await openFolder([...ROOT, folderName(coordinator)], false))) {
      if (folder.kind !== "directory") continue;
      for await (const _ of entries(folder as FileSystemDirectoryHandle)) slots.add(Number.parseInt(name, 10));
    }
  } catch {
    // There is no such folder, or no file system.
  }
  for (const [folder] of (await keys("proofs")) as RecordKey[]) {
    const [, , origin, name = ""] = folder.split("/");
    if (origin === folderName(coordinator)) slots.add(Number.parseInt(name, 10));
  }
  return [...slots].filter((slot) => slot >= 0).sort((a, b) => a - b);
}

/** Removes what no run has wanted for long, of all slots and coordinators. */
export async function tidyProofs(): Promise<void> {
  try {
    await tidyFolder(await openFolder(ROOT, false));
  } catch {
    // There is no such folder, or no file system.
  }
  for (const key of (await keys("proofs")) as RecordKey[]) {
    if (isOld(key[2])) await remove("proofs", key);
  }
}

/** Whether anything is left in a folder after what is too old was removed. */
async function tidyFolder(folder: FileSystemDirectoryHandle): Promise<boolean> {
  let left = false;
  for await (const [name, entry] of entries(folder)) {
    const isFile = entry.kind === "file";
    const stays = isFile
      ? !isOld((await (entry as FileSystemFileHandle).getFile()).lastModified)
      : await tidyFolder(entry as FileSystemDirectoryHandle);
    // An empty folder may be one that a worker has just opened: it goes when its files do.
    if (!stays && isFile) await folder.removeEntry(name);
    left ||= stays;
  }
  return left;
}

function isOld(written: number): boolean {
  return Date.now() - written > MAX_AGE_MS;
}

/** An origin as a name of a folder. */
function folderName(origin: string): string {
  return encodeURIComponent(origin).replaceAll("%", "=");
}

async function openFolder(names: readonly string[], create: boolean): Promise<FileSystemDirectoryHandle> {
  let folder = await navigator.storage.getDirectory();
  for (const name of names) folder = await folder.getDirectoryHandle(name, { create });
  return folder;
}

function entries(folder: FileSystemDirectoryHandle): AsyncIterable<[string, FileSystemHandle]> {
  return (folder as unknown as { entries(): AsyncIterable<[string, FileSystemHandle]> }).entries();
}

/** What only workers have. */
interface FileInWorker extends FileSystemFileHandle {
  createSyncAccessHandle?(): Promise<{
    truncate(size: number): void;
    write(bytes: Uint8Array, options: { at: number }): number;
    flush(): void;
    close(): void;
  }>;
}

/** Proofs in files, each under the name of its upload; `undefined` if there is no file system. */
async function inFiles(names: string[]): Promise<ProofStore | undefined> {
  let folder: FileSystemDirectoryHandle;
  try {
    folder = await openFolder(names, true);
  } catch {
    return undefined;
  }
  return {
    where: "files",
    async keep(proof) {
      const file: FileInWorker = await folder.getFileHandle(proof.upload, { create: true });
      await writeFile(file, [header(proof), proof.bytes]);
    },
    async forget(upload) {
      await folder.removeEntry(upload).catch(ignoreMissing);
    },
    async stored() {
      const proofs = [];
      for await (const [name, entry] of entries(folder)) {
        const file = await (entry as FileSystemFileHandle).getFile();
        const proof = isOld(file.lastModified) ? undefined : await readFile(name, file);
        if (proof) proofs.push(proof);
        else await folder.removeEntry(name);
      }
      return proofs;
    },
  };
}

async function writeFile(file: FileInWorker, parts: Uint8Array[]): Promise<void> {
  if (!file.createSyncAccessHandle) {
    const stream = await file.createWritable();
    for (const part of parts) await stream.write(part as Uint8Array<ArrayBuffer>);
    return stream.close();
  }
  const access = await file.createSyncAccessHandle();
  try {
    access.truncate(0);
    let at = 0;
    for (const part of parts) {
      if (access.write(part, { at }) !== part.length) throw new Error("the disk, or this site's part of it, is full");
      at += part.length;
    }
    access.flush();
  } finally {
    access.close();
  }
}

function ignoreMissing(error: unknown): void {
  if (!(error instanceof DOMException && error.name === "NotFoundError")) throw error;
}

function header({ task, first, steps, bytes }: StoredProof): Uint8Array {
  const view = new DataView(new ArrayBuffer(HEADER_BYTES));
  [task, first, steps, BigInt(bytes.length)].forEach((number, i) => view.setBigUint64(8 * i, number, true));
  return new Uint8Array(view.buffer);
}

/** The proof of a file; `undefined` if it was cut short. */
async function readFile(upload: string, file: File): Promise<StoredProof | undefined> {
  if (file.size <= HEADER_BYTES || file.size > HEADER_BYTES + MAX_PROOF_BYTES) return undefined;
  const buffer = await file.arrayBuffer();
  const view = new DataView(buffer);
  const [task, first, steps, length] = [0, 8, 16, 24].map((at) => view.getBigUint64(at, true)) as [
    bigint, bigint, bigint, bigint,
  ];
  const bytes = new Uint8Array(buffer, HEADER_BYTES);
  return length === BigInt(bytes.length) ? { upload, task, first, steps, bytes } : undefined;
}

/** Where a proof lies in IndexedDB: its folder, its upload, and when it was written. */
type RecordKey = [string, string, number];

/** Proofs in IndexedDB, which writes them in whole or not at all; `undefined` if there is none. */
async function inRecords(folder: string): Promise<ProofStore | undefined> {
  // Whether it takes anything shows only when it is tried.
  if (!(await write("proofs", [folder, "", 0], null))) return undefined;
  const forget = (upload: string) => remove("proofs", beginningWith(folder, upload));
  await forget("");
  return {
    where: "records",
    forget,
    async keep(proof) {
      const key: RecordKey = [folder, proof.upload, Date.now()];
      if (!(await write("proofs", key, proof))) throw new Error("IndexedDB takes no more");
    },
    async stored() {
      const proofs = [];
      for (const key of (await keys("proofs", folder)) as RecordKey[]) {
        const proof = isOld(key[2]) ? undefined : await read<StoredProof>("proofs", key);
        if (proof) proofs.push(proof);
        else await remove("proofs", key);
      }
      return proofs;
    },
  };
}

/** Nothing outlives the page. */
function inMemory(): ProofStore {
  return { where: "memory", keep: async () => {}, forget: async () => {}, stored: async () => [] };
}

/** Carries out calls one after the other, so that what is forgotten while it is written is gone; and counts bytes. */
function inTurn(store: ProofStore): ProofStore {
  const sizes = new Map<string, number>();
  let last: Promise<unknown> = Promise.resolve();
  const next = <T>(call: () => Promise<T>): Promise<T> => {
    const result = last.then(call, call);
    last = result.catch(() => {});
    return result;
  };
  const bytes = () => [...sizes.values()].reduce((sum, size) => sum + size, 0);
  const forget = async (upload: string) => {
    sizes.delete(upload);
    await store.forget(upload);
  };
  return {
    where: store.where,
    forget: (upload) => next(() => forget(upload)),
    keep: (proof) =>
      next(async () => {
        if (bytes() + proof.bytes.length > MAX_SLOT_BYTES) throw new Error("too many proofs wait for their verdict");
        sizes.set(proof.upload, proof.bytes.length);
        try {
          await store.keep(proof);
        } catch (error) {
          await forget(proof.upload).catch(() => {});
          throw error;
        }
      }),
    stored: () =>
      next(async () => {
        const proofs = await store.stored();
        for (const { upload, bytes } of proofs) sizes.set(upload, bytes.length);
        return proofs;
      }),
  };
}
