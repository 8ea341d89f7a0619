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

const tasks = {
  /** Steps of ours and of nova-snark in turn. */
  async race({ variant, threads, perStep, warmUp, steps }) {
    const files = ["/data/step.params", "/data/nova.params"];
    const [loaded, oursParams, novaParams] = await Promise.all([fetchPackage(variant), ...files.map(download)]);
    await start(loaded, threads);
    const ours = new loaded.exports.Ours(oursParams, perStep, SEED);
    const nova = new loaded.exports.Nova(novaParams, perStep);
    const times = { ours: [], peer: [] };
    for (let i = 0; i < warmUp + steps; i++) {
      const a = seconds(() => ours.step());
      const b = seconds(() => nova.step());
      if (i < warmUp) continue;
      times.ours.push(a);
      times.peer.push(b);
    }
    nova.verify();
    return { times, proof: ours.finish().toBase64() };
  },

  /** From compiling the module to the first step. */
  async firstStep({ variant, threads, largePerStep }) {
    const [loaded, params] = await Promise.all([fetchPackage(variant), download("/data/large.params")]);
    const started = performance.now();
    await start(loaded, threads);
    const ours = new loaded.exports.Ours(params, largePerStep, SEED);
    ours.step();
    return (performance.now() - started) / 1000;
  },

  /** Memory of a prover that made some steps and a proof. */
  async peak({ variant, largePerStep, peakSteps }) {
    const [loaded, params] = await Promise.all([fetchPackage(variant), download("/data/large.params")]);
    const memory = await start(loaded, 1);
    const ours = new loaded.exports.Ours(params, largePerStep, SEED);
    for (let i = 0; i < peakSteps; i++) ours.step();
    const proof = ours.finish().toBase64();
    // WASM memory never shrinks.
    return { bytes: memory.buffer.byteLength, proof };
  },

  /** Steps of a segment, with the package for users. */
  async prove({ variant, threads, program, digest, context, inputBytes }) {
    const files = ["/data/prover.params", "/data/start.state", "/data/steps.inputs"];
    const [loaded, params, state, inputs] = await Promise.all([
      fetchPackage(variant, "crowdfold_prover"),
      ...files.map(download),
    ]);
    const memory = await start(loaded, threads);
    const segment = new loaded.exports.Prover(program, params, digest).segment(context, state);
    const times = [];
    for (let at = 0; at < inputs.length; at += inputBytes) {
      times.push(seconds(() => segment.push(inputs.subarray(at, at + inputBytes))));
    }
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
