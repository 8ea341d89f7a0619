// From the requests of Node's servers to those of the web.

/** The part of Node's `IncomingMessage` that is used. */
export interface Incoming extends AsyncIterable<Uint8Array> {
  method?: string;
  headers: Record<string, string | string[] | undefined>;
}

/** The part of Node's `ServerResponse` that is used. */
export interface Outgoing {
  writableEnded: boolean;
  on(event: "close", listener: () => void): unknown;
  writeHead(status: number, headers: Record<string, string>): unknown;
  end(body: Uint8Array): unknown;
}

/** Makes what `createServer` of `node:http` takes. The handler's requests have no path. */
export function listener(handler: (request: Request) => Promise<Response>) {
  return (incoming: Incoming, outgoing: Outgoing): void => void answer(handler, incoming, outgoing);
}

async function answer(
  handler: (request: Request) => Promise<Response>,
  incoming: Incoming,
  outgoing: Outgoing,
): Promise<void> {
  const gone = new AbortController();
  outgoing.on("close", () => outgoing.writableEnded || gone.abort());
  const { method = "GET", headers } = incoming;
  const has = method !== "GET" && method !== "HEAD";
  const chunks = incoming[Symbol.asyncIterator]();
  // As it is read, so that what is too long is not taken in.
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      const { done, value } = await chunks.next();
      if (done) controller.close();
      else controller.enqueue(value);
    },
  });
  const known = Object.entries(headers).filter((header): header is [string, string] => typeof header[1] === "string");
  const init = { method, headers: known, signal: gone.signal, ...(has && { body, duplex: "half" }) };
  const response = await handler(new Request("http://localhost/", init));
  outgoing.writeHead(response.status, Object.fromEntries(response.headers));
  outgoing.end(new Uint8Array(await response.arrayBuffer()));
}
