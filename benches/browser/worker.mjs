// The worker of page.html: runs one task. All downloads are done before a clock starts. Times are in seconds.

const SEED = 1;

async function download(path) {
  const response = await fetch(path);
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}

/** The package's glue, generated with that stem, and the bytes of its module. */
async function fetchPackage(variant, stem = "crowdfold_bench") {
  const folder = `/pkg/${variant}`;
  const [exports, bytes] = await Promise.all([import(`${folder}/${stem}.js`), download(`${folder}/${stem}_bg.wasm`)]);
  return { exports, bytes };
}

/** Compiles and instantiates the module; starts its threads if it has any. Returns its memory. */
async function start({ exports, bytes }, threads) {
  const { memory } = await exports.default({ module_or_path: bytes });
  await exports.initThreadPool?.(threads);
  return memory;
}

function seconds(work) {
  const started = performance.now();
  work();
  return (performance.now() - started) / 1000;
}

/** The files of some work, as `Work` in benches/src/browser.rs writes them: parameters, the first state, inputs. */
async function fetchWork({ name, lengths }) {
  const [params, start, bytes] = await Promise.all(["params", "state", "inputs"].map((kind) => download(`/data/${name}.${kind}`)));
  let at = 0;
  const inputs = lengths.map((length) => bytes.subarray(at, (at += length)));
  return { params, start, inputs };
}

const tasks = {
  /** Steps of ours and of nova-snark in turn. */
  async race({ variant, threads, step, warmUp }) {
    const [loaded, work, novaParams] = await Promise.all([fetchPackage(variant), fetchWork(step), download("/data/nova.params")]);
    const { params, start: state, inputs } = work;
    await start(loaded, threads);
    const ours = new loaded.exports.Ours(step.program, params, state, SEED);
    const nova = new loaded.exports.Nova(step.program, novaParams, state, inputs[0]);
    const times = { ours: [], peer: [] };
    for (const [i, input] of inputs.entries()) {
      const a = seconds(() => ours.step(input));
      const b = seconds(() => nova.step(input));
      if (i < warmUp) continue;
      times.ours.push(a);
      times.peer.push(b);
    }
    nova.verify();
    return { times, proof: ours.finish().toBase64() };
  },

  /** From compiling the module to the first step. */
  async firstStep({ variant, threads, large }) {
    const [loaded, work] = await Promise.all([fetchPackage(variant), fetchWork(large)]);
    const started = performance.now();
    await start(loaded, threads);
    const ours = new loaded.exports.Ours(large.program, work.params, work.start, SEED);
    ours.step(work.inputs[0]);
    return (performance.now() - started) / 1000;
  },

  /** Memory of a prover that made some steps and a proof. */
  async peak({ variant, large, peakSteps }) {
    const [loaded, work] = await Promise.all([fetchPackage(variant), fetchWork(large)]);
    const memory = await start(loaded, 1);
    const ours = new loaded.exports.Ours(large.program, work.params, work.start, SEED);
    for (const input of work.inputs.slice(0, peakSteps)) ours.step(input);
    const proof = ours.finish().toBase64();
    // WASM memory never shrinks.
    return { bytes: memory.buffer.byteLength, proof };
  },

  /** Steps of a segment, with the package for users. */
  async prove({ variant, threads, step, digest, context }) {
    const [loaded, work] = await Promise.all([fetchPackage(variant, "crowdfold_prover"), fetchWork(step)]);
    const memory = await start(loaded, threads);
    const segment = new loaded.exports.Prover(step.program, work.params, digest).segment(context, work.start);
    const times = work.inputs.map((input) => seconds(() => segment.push(input)));
    const proof = segment.finish().toBase64();
    return { times, bytes: memory.buffer.byteLength, proof };
  },
};

self.onmessage = async ({ data: { task, options } }) => {
  try {
    self.postMessage({ result: await tasks[task](options) });
  } catch (error) {
    self.postMessage({ error: String(error?.stack ?? error) });
  }
};
