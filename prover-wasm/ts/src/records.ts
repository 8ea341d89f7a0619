// Small records in IndexedDB. A browser without it, or in a private mode that refuses it, has no records: readers get
// `undefined`, and what is written is lost with the page.

const NAME = "crowdfold";
const VERSION = 1;
/** Who is waited for, in milliseconds, before a database that does not open counts as none. */
const OPEN_MS = 5_000;

/** The kinds of records: `identities` by coordinator, `speeds` by plan, uses of `parameters` by file, `proofs`. */
export type Kind = "identities" | "speeds" | "parameters" | "proofs";
const KINDS: Kind[] = ["identities", "speeds", "parameters", "proofs"];

let opened: Promise<IDBDatabase | undefined> | undefined;

function database(): Promise<IDBDatabase | undefined> {
  opened ??= open().catch(() => undefined);
  return opened;
}

function open(): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(NAME, VERSION);
    request.onupgradeneeded = () => KINDS.forEach((kind) => request.result.createObjectStore(kind));
    request.onsuccess = () => {
      const database = request.result;
      // Another version of this package wants to change it: what we do without is written down nowhere.
      database.onversionchange = () => database.close();
      resolve(database);
    };
    request.onerror = () => reject(request.error);
    setTimeout(() => reject(new Error("IndexedDB does not open")), OPEN_MS);
  });
}

function answer<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

/** Runs `work` in a transaction of its own; `undefined` if there is no database or it refuses. */
async function within<T>(
  kind: Kind, mode: IDBTransactionMode, work: (store: IDBObjectStore) => Promise<T>,
): Promise<T | undefined> {
  const records = await database();
  if (!records) return undefined;
  try {
    const transaction = records.transaction(kind, mode);
    const [result] = await Promise.all([work(transaction.objectStore(kind)), committed(transaction)]);
    return result;
  } catch {
    return undefined;
  }
}

/** What is written is only there when its transaction has ended: until then the disk may turn out to be full. */
function committed(transaction: IDBTransaction): Promise<void> {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onabort = () => reject(transaction.error);
  });
}

/** Whether records outlive this page. */
export async function hasRecords(): Promise<boolean> {
  return (await database()) !== undefined;
}

/** A record. */
export function read<T>(kind: Kind, key: IDBValidKey): Promise<T | undefined> {
  return within<T | undefined>(kind, "readonly", (store) => answer(store.get(key)));
}

/** The keys of a kind, or of those that begin with `first`. */
export async function keys(kind: Kind, ...first: string[]): Promise<IDBValidKey[]> {
  const range = first.length > 0 ? beginningWith(...first) : undefined;
  return (await within(kind, "readonly", (store) => answer(store.getAllKeys(range)))) ?? [];
}

/** All keys that begin so. */
export function beginningWith(...first: string[]): IDBKeyRange {
  // A list comes after all texts and numbers.
  return IDBKeyRange.bound(first, [...first, []]);
}

/** Writes a record in place of the one that was there. False if it could not be written. */
export async function write(kind: Kind, key: IDBValidKey, value: unknown): Promise<boolean> {
  return (await within(kind, "readwrite", (store) => answer(store.put(value, key)))) !== undefined;
}

/** The record of that key, which is `value` if there was none: two pages that ask at once get the same. */
export async function readOrWrite<T>(kind: Kind, key: IDBValidKey, value: T): Promise<T> {
  const found = await within<T>(kind, "readwrite", async (store) => {
    const before: T | undefined = await answer(store.get(key));
    if (before === undefined) await answer(store.put(value, key));
    return before ?? value;
  });
  return found ?? value;
}

/** Removes records. */
export async function remove(kind: Kind, key: IDBValidKey | IDBKeyRange): Promise<void> {
  await within(kind, "readwrite", (store) => answer(store.delete(key)));
}
