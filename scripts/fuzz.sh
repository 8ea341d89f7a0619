#!/usr/bin/env bash
# fuzz.sh SECONDS: runs each target of fuzz/ for so long; stops at the first input that breaks one.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=$1
[[ $seconds =~ ^[1-9][0-9]*$ ]] || {
    echo "fuzz: expected a number of seconds for each target, as in \`./just fuzz 60\`; got \`$seconds\`" >&2
    exit 1
}
PATH=$(printf '%s:' "$PWD"/.tools/cargo-fuzz-*/bin)$PATH
# cargo-fuzz asks for the default toolchain's compiler: the nightly one, whatever rust-toolchain.toml says.
export RUSTUP_TOOLCHAIN=nightly
targets=$(cargo fuzz list)
for target in $targets; do
    # What is found goes to the first folder; the second is committed. Without len_control=0 no input would be long
    # enough to mean anything for the first minutes.
    mkdir -p "fuzz/corpus/$target"
    scripts/stage "fuzz $target" cargo fuzz run "$target" "fuzz/corpus/$target" "fuzz/corpus-regressions/$target" -- \
        -len_control=0 "-max_total_time=$seconds"
done
