#!/usr/bin/env bash
# Installs what the repository's tasks need and is missing, and says what and why. What is there already is left alone.
#
#   scripts/setup.sh [GROUP...]     groups: rust wasm browser npm fuzz deny; the first four by default
set -euo pipefail
cd "$(dirname "$0")/.."

cargo_fuzz=0.13.2
cargo_deny=0.20.2

say() { echo "setup: $*"; }
fail() {
    echo "setup: $*" >&2
    exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }

# has_deb PACKAGE[>=VERSION]: whether the package is installed, in that version or a newer one.
has_deb() {
    local found
    found=$(dpkg-query -W -f '${db:Status-Abbrev} ${Version}' "${1%%>=*}" 2>/dev/null) && [[ $found == ii* ]] || return 1
    [[ $1 != *'>='* ]] || dpkg --compare-versions "${found#* }" ge "${1#*>=}"
}

has_debs() {
    local package
    for package in "$@"; do
        has_deb "$package" || return 1
    done
}

# deb WHY PACKAGE[>=VERSION]...: installs the Debian packages that are missing or too old.
deb() {
    local why=$1 wanted=() missing=() package
    shift
    have apt-get || fail "$* is needed here ($why) and this is not Debian: install the like from your system, then run this again."
    for package in "$@"; do
        has_deb "$package" || { wanted+=("$package") && missing+=("${package%%>=*}"); }
    done
    ((${#missing[@]})) || return 0

    local install=(apt-get install --yes --no-install-recommends -o DPkg::Lock::Timeout=300 "${missing[@]}")
    local root=()
    if ((EUID != 0)); then
        have sudo && { [[ -t 0 ]] || sudo -n true 2>/dev/null; } && root=(sudo) ||
            fail "Debian packages are missing ($why) and only root may install them: run \`apt-get install --no-install-recommends ${missing[*]}\` as root, then this again."
    fi
    root+=(env DEBIAN_FRONTEND=noninteractive)

    say "installing Debian packages: ${missing[*]} ($why)"
    local log
    log=$(mktemp)
    # The index is only refreshed when it knows no such packages, or only older ones.
    if ! { "${root[@]}" "${install[@]}" </dev/null && has_debs "${wanted[@]}"; } >"$log" 2>&1 &&
        ! { "${root[@]}" apt-get update </dev/null && "${root[@]}" "${install[@]}" </dev/null && has_debs "${wanted[@]}"; } >"$log" 2>&1; then
        grep '^E:' "$log" >&2 || true
        rm -f "$log"
        fail "apt-get could not install ${wanted[*]} ($why): check the network and apt's sources (on Debian 12 the compiler is in the security suite), then run this again."
    fi
    rm -f "$log"
}

# crate WHY NAME VERSION: compiles a tool from the Rust registry into .tools/NAME-VERSION.
crate() {
    local why=$1 name=$2 version=$3
    [[ -x .tools/$name-$version/bin/$name ]] && return 0
    say "compiling $name $version from the Rust registry into .tools ($why)"
    rm -rf .tools/"$name"-*
    cargo install "$name" --version "$version" --locked --quiet --root ".tools/$name-$version" </dev/null ||
        fail "cargo could not build $name $version ($why): check the network and cargo's settings, then run this again."
}

rust() {
    have cargo || fail "Rust is missing: install rustup from your system's packages or its home page, then run this again."
    have cc || deb "linking Rust programs" gcc libc6-dev
    local complaint
    complaint=$(cargo --version 2>&1 >/dev/null) ||
        fail "the Rust of rust-toolchain.toml can't be had: run \`rustup toolchain install\` where the network allows it (rustup says: $(head -n 1 <<<"$complaint"))."
}

has_std_source() {
    local sysroot
    sysroot=$("$1" --print sysroot 2>/dev/null) && [[ -f $sysroot/lib/rustlib/src/rust/library/Cargo.lock ]]
}

# The oldest compiler that the workspace builds with.
minimum=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)

# The standard library is compiled from its source, because threads need it built with atomics.
wasm() {
    has_std_source rustc && return 0
    # RUSTUP_AUTO_INSTALL=0 is the owner's word that rustup fetches nothing on this machine.
    if have rustup && [[ ${RUSTUP_AUTO_INSTALL:-1} != 0 ]]; then
        say "installing rustup's component rust-src (WASM packages)"
        timeout 300 rustup component add rust-src </dev/null 2>/dev/null && return 0
        say "rustup could not; using Debian's compiler instead"
    fi
    deb "WASM packages" "rustc-web>=$minimum" "rust-web-src>=$minimum" lld-19
}

browser() {
    local name
    for name in chromium chromium-browser google-chrome; do
        have "$name" && return 0
    done
    deb "browser tests" chromium
}

npm_packages() {
    local missing="Node.js 20 or newer with npm is missing: install it from your system's packages or its home page, then run this again."
    have node && have npm || fail "$missing"
    (($(node -p 'parseInt(process.versions.node)') >= 20)) || fail "$missing"
    # The stamp lies in the folder that it vouches for.
    local stamp=node_modules/.crowdfold hash
    hash=$(cat package.json package-lock.json .npmrc | cksum)
    [[ -f $stamp && $(<"$stamp") == "$hash" ]] && return 0
    say "installing npm packages of package-lock.json (tests in browsers and edge runtimes)"
    npm ci --silent --fetch-retries=1 </dev/null ||
        fail "npm could not install the packages of package-lock.json: check the network and npm's settings, then run this again."
    echo "$hash" >"$stamp"
}

fuzz() {
    have c++ || deb "libFuzzer" g++
    if ! cargo +nightly --version >/dev/null 2>&1; then
        have rustup && [[ ${RUSTUP_AUTO_INSTALL:-1} != 0 ]] ||
            fail "fuzzing needs a nightly Rust: run \`rustup toolchain install nightly\` where the network allows it."
        say "installing a nightly Rust (fuzzing needs its sanitizers)"
        rustup toolchain install nightly --profile minimal </dev/null ||
            fail "rustup could not install a nightly Rust: check the network, then run this again."
    fi
    crate "fuzzing" cargo-fuzz "$cargo_fuzz"
}

deny() {
    crate "checking dependencies' licenses and advisories" cargo-deny "$cargo_deny"
}

(($#)) || set -- rust wasm browser npm
for group in "$@"; do
    case $group in
    rust | wasm | browser | fuzz | deny) "$group" ;;
    npm) npm_packages ;;
    *) fail "there is no group \`$group\`; there are rust, wasm, browser, npm, fuzz and deny." ;;
    esac
done
