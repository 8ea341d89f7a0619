// Where things lie in the repository, as file URLs.

export const ROOT = new URL("../../../", import.meta.url);
export const TARGET = new URL("target/", ROOT);
export const PACKAGES = new URL("pkg/", TARGET);
export const TESTS = new URL("../", import.meta.url);
export const TEMPLATES = new URL("../../templates/", import.meta.url);

// Stem of the generated files: `out_name` in wasm-pack.toml.
export const STEM = "crowdfold_prover";
