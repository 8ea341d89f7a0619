// A folder for what outlives a process: the identity, parameters, and proofs without a verdict. The same files as
// `prover-native` keeps, so that either goes on with what the other left.

import { mkdir, readFile, readdir, rename, rm, stat, writeFile } from "node:fs/promises";
import { join, sep } from "node:path";

import { download } from "./download.js";
import type { Host } from "./drive.js";
import type { Purpose, StoredProof } from "./types.js";

/** Bytes before the proof in a file of one: task, first step and steps, little-endian. */
const HEADER_BYTES = 24;
/** Bytes of an identity. */
const IDENTITY_BYTES = 32;

/** What a folder is to a session. */
export interface Folder extends Host {
  /** The secret key that names this prover; made when it is not there. */
  identity(): Promise<Uint8Array>;
  /** Digests of the parameters for folding that are here. */
  cached(): Promise<string[]>;
}

/** Opens a folder, which is made if it is not there. */
export async function openFolder(path: string): Promise<Folder> {
  const parameters = join(path, "parameters");
  const proofs = join(path, "proofs");
  await mkdir(parameters, { recursive: true });
  await mkdir(proofs, { recursive: true });
  const given = new Set<string>();

  return {
    identity: () => identity(join(path, "identity.key")),

    async cached() {
      return (await readdir(parameters)).flatMap((name) => /^([0-9a-f]{64})\.fold$/.exec(name)?.[1] ?? []);
    },

    async fetchParameters(url: string, id: string, purpose: Purpose) {
      const file = join(parameters, `${id}.${purpose}`);
      // They are checked when they are loaded; when the same are wanted again, these were not good.
      const isFirst = !given.has(file);
      given.add(file);
      const found = isFirst ? await readFile(file).catch(() => undefined) : undefined;
      if (found) return found;
      const bytes = await download(url);
      // Without a cache it works too.
      await write(file, bytes).catch(() => {});
      return bytes;
    },

    async keep({ upload, task, first, steps, bytes }: StoredProof) {
      const whole = new Uint8Array(HEADER_BYTES + bytes.length);
      const header = new DataView(whole.buffer);
      [task, first, steps].forEach((number, i) => header.setBigUint64(8 * i, number, true));
      whole.set(bytes, HEADER_BYTES);
      await write(join(proofs, upload), whole);
    },

    forget: (upload: string) => rm(join(proofs, upload), { force: true }),

    async stored() {
      const names = (await readdir(proofs)).filter((name) => /^[0-9a-f]{64}$/.test(name)).sort();
      return Promise.all(names.map((name) => proof(join(proofs, name), name)));
    },
  };
}

/** Reads a stored proof. One that is damaged is refused by the session. */
async function proof(file: string, upload: string): Promise<StoredProof> {
  const whole = await readFile(file);
  if (whole.length < HEADER_BYTES) return { upload, task: 0n, first: 0n, steps: 0n, bytes: whole };
  const header = new DataView(whole.buffer, whole.byteOffset);
  const number = (i: number) => header.getBigUint64(8 * i, true);
  return { upload, task: number(0), first: number(1), steps: number(2), bytes: whole.subarray(HEADER_BYTES) };
}

async function identity(file: string): Promise<Uint8Array> {
  const made = crypto.getRandomValues(new Uint8Array(IDENTITY_BYTES));
  const digits = Array.from(made, (byte) => byte.toString(16).padStart(2, "0")).join("");
  // Only if there is none: of two processes that make one, both have the first's.
  await writeFile(file, `${digits}\n`, { flag: "wx", flush: true, mode: 0o600 }).catch((error) => {
    if ((error as { code?: string }).code !== "EEXIST") throw error;
  });
  // Elsewhere the folder's own protection has to do.
  if (sep === "/" && ((await stat(file)).mode & 0o077) !== 0) {
    throw new Error(`others can read ${file}: chmod 600 it, or make another key`);
  }
  const text = new TextDecoder().decode(await readFile(file)).trim();
  if (!/^[0-9a-fA-F]{64}$/.test(text)) throw new Error(`${file}: expected the 64 hexadecimal digits of a key`);
  return Uint8Array.from(text.match(/../g) ?? [], (byte) => Number.parseInt(byte, 16));
}

/** Writes a file so that it is there in whole or not at all. */
async function write(file: string, bytes: Uint8Array): Promise<void> {
  const scratch = `${file}.new`;
  await writeFile(scratch, bytes, { flush: true });
  await rename(scratch, file);
}
