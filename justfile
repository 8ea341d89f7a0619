# Every task of the repository. `./just` fetches `just` itself and then runs these.

set shell := ["bash", "-euo", "pipefail", "-c"]

# List the tasks.
@default:
    {{ quote(just_executable()) }} --justfile {{ quote(justfile()) }} --list

# Install what is missing: rust, wasm, browser, npm (the default), fuzz, deny.
[no-exit-message]
@setup *groups:
    scripts/setup.sh {{ groups }}

# Check everything: format, lints, Rust tests, and the WASM packages in Chromium, Node and workerd.
[no-exit-message]
@test:
    scripts/stage setup scripts/setup.sh
    scripts/stage format cargo fmt --all --check
    scripts/stage clippy cargo clippy --workspace --all-targets -- -D warnings
    scripts/stage "rust tests" cargo test --workspace
    scripts/stage "vectors" node --test --test-reporter=spec vectors/tests/*.test.mjs
    scripts/stage "wasm packages" scripts/xtask wasm --in-tests
    scripts/stage "wasm tests" node --test --test-reporter=spec prover-wasm/tests/*.test.mjs

# Send signed payments to a coordinator's sequencer, have two native provers fold them, and show where the time goes.
[no-exit-message]
@demo *arguments:
    scripts/stage setup scripts/setup.sh rust
    scripts/xtask demo {{ arguments }}

# Build some WASM packages: `build-wasm threads wide`; without a name, those that the tests load.
[no-exit-message]
@build-wasm *variants:
    scripts/setup.sh rust wasm npm
    scripts/xtask wasm {{ if variants == "" { "--in-tests" } else { prepend("--variant=", variants) } }}

# Build every WASM package of wasm-pack.toml and try each one.
[no-exit-message]
@package:
    scripts/stage setup scripts/setup.sh
    scripts/stage "wasm packages" scripts/xtask wasm
    scripts/stage "wasm tests" node --test --test-reporter=spec prover-wasm/tests/*.test.mjs prover-wasm/tests/wide.mjs

# Measure: `bench fold` against the peer, `bench programs` the rollup, `bench sched` the scheduler, `bench coordinator` under load. Writes target/bench/NAME.json.
[no-exit-message]
[positional-arguments]
@bench name *arguments:
    scripts/stage setup scripts/setup.sh
    shift && cargo run --release -p crowdfold-bench --bin {{ if name == "coordinator" { "coordinator-load" } else { quote(name) } }} -- "$@"

# Run so many seeds of the whole system on a fake clock; a failure prints its seed.
[no-exit-message]
@sim seeds="1000":
    scripts/setup.sh rust
    cargo run -p crowdfold-sim -- --seeds {{ quote(seeds) }}

# Fuzz each decoder for so many seconds.
[no-exit-message]
@fuzz seconds="60":
    scripts/setup.sh rust fuzz
    scripts/fuzz.sh {{ quote(seconds) }}

# Test for hours: long fuzzing, property tests with many cases, and kills and an outage of a whole system.
[no-exit-message]
@soak: (fuzz "1800")
    PROPTEST_CASES=4096 cargo test --workspace -- --include-ignored

# Powers of tau: `srs dev` makes INSECURE ones for development, `srs check FILE` checks a file of real ones.
[no-exit-message]
[positional-arguments]
@srs *arguments:
    scripts/xtask srs "$@"

# Check format and lints.
[no-exit-message]
@lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings

# Check dependencies: licenses, sources, duplicates and advisories.
[no-exit-message]
@lint-deps:
    scripts/setup.sh rust deny npm
    .tools/cargo-deny-*/bin/cargo-deny check bans licenses sources
    .tools/cargo-deny-*/bin/cargo-deny check advisories || (echo "lint-deps: see above; where the advisory database can't be fetched, run this on a machine with internet" >&2; exit 1)
    npm audit

# Write the golden values that the tests compare with anew; review the difference.
@golden:
    CROWDFOLD_GOLDEN=refresh cargo test --workspace golden
