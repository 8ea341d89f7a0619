// Places for provers in this browser: each worker of each tab has one of its own, with its own key and its own proofs.

/** Provers of one coordinator in one browser. With more, the next one does not start. */
export const MAX_SLOTS = 64;
/** Without locks a slot is drawn from so many numbers above those: two tabs that draw the same one are unlikely. */
const RANDOM_SLOTS = 2 ** 31;

/** A place that no other worker of this browser has until it is given back. */
export interface Slot {
  readonly number: number;
  /** Whether the browser guarantees that: only then proofs are stored under it. */
  readonly isOwn: boolean;
  /** Gives it back. It is also given back when the page ends, however it ends. */
  release(): void;
}

/**
 * Takes a free slot: first one of `preferred` (which hold proofs that nobody has delivered), then the lowest.
 *
 * @param coordinator origin of the coordinator, as `https://prove.example`
 * @returns `undefined` if all are taken
 */
export async function takeSlot(coordinator: string, preferred: readonly number[]): Promise<Slot | undefined> {
  const locks = globalThis.navigator?.locks;
  if (!locks) return randomSlot();
  for (const number of new Set([...preferred, ...Array(MAX_SLOTS).keys()])) {
    const release = await take(locks, `crowdfold:${coordinator}:${number}`);
    if (release) return { number, isOwn: true, release };
  }
  return undefined;
}

/** What gives the lock back, or `undefined` if somebody has it. */
function take(locks: LockManager, name: string): Promise<(() => void) | undefined> {
  return new Promise((resolve, reject) => {
    // The lock is held until the promise that the callback returns is resolved.
    const held = (lock: Lock | null) => {
      if (!lock) return resolve(undefined);
      return new Promise<void>((release) => resolve(release));
    };
    locks.request(name, { ifAvailable: true }, held).catch(reject);
  });
}

function randomSlot(): Slot {
  const [random = 0] = crypto.getRandomValues(new Uint32Array(1));
  return { number: MAX_SLOTS + (random % RANDOM_SLOTS), isOwn: false, release: () => {} };
}
