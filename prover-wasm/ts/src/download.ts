// Files of parameters over the network.

/** Bytes of the largest file that is fetched; the module takes no larger ones. */
export const MAX_FILE_BYTES = 2 ** 28;
/** Milliseconds without a byte after which a download is given up. */
const STALLED_MS = 30_000;

/**
 * Downloads a file.
 *
 * @throws {Error} if it can't be had, or is too long
 */
export async function download(url: string): Promise<Uint8Array<ArrayBuffer>> {
  const given = new AbortController();
  const giveUp = () => given.abort(new Error(`nothing came for ${STALLED_MS / 1_000} s`));
  let timer = setTimeout(giveUp, STALLED_MS);
  try {
    const response = await fetch(url, { signal: given.signal });
    if (!response.ok) throw new Error(`the answer is ${response.status}`);
    const parts: Uint8Array[] = [];
    let length = 0;
    for (const reader = response.body?.getReader(); reader; ) {
      const { done, value } = await reader.read();
      if (done) break;
      clearTimeout(timer);
      timer = setTimeout(giveUp, STALLED_MS);
      length += value.length;
      if (length > MAX_FILE_BYTES) throw new Error(`it has more than ${MAX_FILE_BYTES} bytes`);
      parts.push(value);
    }
    return joined(parts, length);
  } catch (error) {
    throw new Error(`${url} can't be fetched: ${(error as Error).message}`, { cause: error });
  } finally {
    clearTimeout(timer);
    given.abort();
  }
}

function joined(parts: Uint8Array[], length: number): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
