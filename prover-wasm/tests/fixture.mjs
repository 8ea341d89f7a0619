// Segments that hosts prove together with native provers: `xtask` says who proves what, and checks what came of it.

import { execFile } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { promisify } from "node:util";
import { fileURLToPath } from "node:url";

import { ROOT, TARGET } from "./hosts/paths.mjs";

async function xtask(...args) {
  const { stdout } = await promisify(execFile)(fileURLToPath(new URL("scripts/xtask", ROOT)), args);
  return stdout;
}

/**
 * Makes a folder of segments under target/. Those whose name starts with `native` are proved natively.
 *
 * @param {string} name of the folder
 * @param {{program: string, steps: number, segments: string[]}} what
 */
export async function makeFixture(name, { program, steps, segments }) {
  const path = `fixtures/${name}`;
  const folder = new URL(`${path}/`, TARGET);
  const options = [`--program=${program}`, `--steps=${steps}`, `--segments=${segments}`];
  await xtask("prove-fixture", ...options, `--out=${fileURLToPath(folder)}`);
  const fixture = JSON.parse(await readFile(new URL("fixture.json", folder), "utf8"));
  return {
    names: { program: fixture.program, digest: fixture.digest },
    /** Path of the prover parameters under target/, and their URL. */
    parameters: `${path}/prover.params`,
    parametersUrl: new URL("prover.params", folder),
    /** The whole job, as a coordinator takes it. */
    jobUrl: new URL("job.bin", folder),
    segment: (name) => fixture.segments.find((segment) => segment.name === name),
    /** Keeps the proof of a segment. */
    keep: (name, proof) => writeFile(new URL(`${name}.range`, folder), proof),
    /** Verifies and merges all proofs natively; rejects if anything is missing or wrong. */
    check: () => xtask("check-fixture", fileURLToPath(folder)),
  };
}
