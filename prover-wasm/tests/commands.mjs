// What every host can be told to do with a package. Arguments are JSON, with bytes in hexadecimal; results are JSON or a
// Uint8Array. Each host loads the package and fetches the parameters in its own way.

function fromHex(text) {
  return Uint8Array.from(text.match(/../g) ?? [], (byte) => Number.parseInt(byte, 16));
}

function toHex(bytes) {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Calls `run` and returns what it threw, as plain data; `undefined` if it threw nothing. */
function thrownBy(run) {
  try {
    run();
    return undefined;
  } catch (error) {
    return { isError: error instanceof Error, name: error.name, kind: error.kind, message: error.message };
  }
}

/**
 * @param {object} exports the package's exports, instantiated, with its thread pool started if it has one
 * @param {{program: string, digest: string}} names
 * @param {Uint8Array} parameters
 */
export function commands(exports, { program, digest }, parameters) {
  const prover = new exports.Prover(program, parameters, digest);
  let segment;
  return {
    about: () => ({
      version: exports.version(),
      threads: exports.threads(),
      program: prover.program,
      digest: prover.digest,
      constraints: prover.constraints,
      insecure: prover.insecure,
    }),
    memory: () => exports.memory_bytes(),
    segment({ context, start }) {
      segment?.free();
      segment = prover.segment(context, fromHex(start));
      return null;
    },
    push({ input }) {
      segment.push(fromHex(input));
      return { count: segment.count, state: toHex(segment.state()) };
    },
    finish: () => segment.finish(),
    refusals: ({ context, start }) => refusals(exports.Prover, prover, { program, digest, parameters, context, start }),
  };
}

/** Tries what must be refused: what each attempt threw, by name. */
function refusals(Prover, prover, { program, digest, parameters, context, start }) {
  const thrown = {};
  const attempt = (name, run) => (thrown[name] = thrownBy(run));
  const state = fromHex(start);
  const damaged = (at) => {
    const copy = parameters.slice();
    copy[at < 0 ? copy.length + at : at] ^= 1;
    return copy;
  };

  attempt("digest of other parameters", () => new Prover(program, parameters, digest.replace(/^../, "ff")));
  attempt("digest that is none", () => new Prover(program, parameters, "0x12"));
  attempt("unknown program", () => new Prover("cubes/1/3", parameters, digest));
  attempt("program of other parameters", () => new Prover("squarings/1/7", parameters, digest));
  attempt("no parameters", () => new Prover(program, new Uint8Array(), digest));
  attempt("parameters of another type", () => new Prover(program, "text", digest));
  attempt("parameters cut short", () => new Prover(program, parameters.subarray(0, -1), digest));
  for (const at of [0, 16, 40, 200, 1_000, Math.floor(parameters.length / 2), -1]) {
    attempt(`parameters damaged at ${at}`, () => new Prover(program, damaged(at), digest));
  }
  attempt("context that is none", () => prover.segment(null, state));
  attempt("context without a contract", () => prover.segment({ ...context, contract: undefined }, state));
  attempt("negative chain id", () => prover.segment({ ...context, chainId: -1 }, state));
  attempt("chain id beyond 64 bits", () => prover.segment({ ...context, chainId: 2n ** 64n }, state));
  attempt("prover of the wrong length", () => prover.segment({ ...context, prover: "0x00" }, state));
  attempt("start of the wrong length", () => prover.segment(context, state.subarray(1)));
  attempt("start not below the modulus", () => prover.segment(context, state.map(() => 0xff)));

  const segment = prover.segment({ ...context, chainId: BigInt(context.chainId) }, state);
  attempt("proof of no steps", () => segment.finish());
  attempt("short input", () => segment.push(new Uint8Array(31)));
  attempt("long input", () => segment.push(new Uint8Array(33)));
  attempt("huge input", () => segment.push(new Uint8Array(2 ** 24)));
  attempt("input not below the modulus", () => segment.push(new Uint8Array(32).fill(0xff)));
  attempt("input of another type", () => segment.push([1, 2, 3]));
  segment.push(new Uint8Array(32));
  attempt("short input after a step", () => segment.push(new Uint8Array(31)));
  segment.push(new Uint8Array(32));
  const { count } = segment;
  const { length } = segment.finish();
  attempt("input after the end", () => segment.push(new Uint8Array(32)));
  attempt("second proof", () => segment.finish());
  segment.free();
  return { thrown, count, length };
}
