# What the steps of ci/check and ci/packages need, each installed where it is missing. Sourced by ci/steps.sh, in the repository's
# root.
# shellcheck shell=bash

# The one place that names the version.
readonly CARGO_DENY_VERSION=0.20.2
readonly CARGO_DENY="$CARGO_TARGET_DIR/tools/bin/cargo-deny"
readonly CARGO_DEB_VERSION=3.8.0
readonly CARGO_DEB="$CARGO_TARGET_DIR/tools/bin/cargo-deb"
readonly CARGO_CYCLONEDX_VERSION=0.5.9
readonly CARGO_CYCLONEDX="$CARGO_TARGET_DIR/tools/bin/cargo-cyclonedx"
readonly MDBOOK_VERSION=0.5.4
readonly MDBOOK="$CARGO_TARGET_DIR/tools/bin/mdbook"
readonly MIN_NODE=20

# rustup's own place, which a shell that was open before has not in its PATH.
if ! command -v cargo >/dev/null && [[ -x ${CARGO_HOME:-${HOME-}/.cargo}/bin/cargo ]]; then
    PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
fi

missing() {
    echo "$0 needs $1" >&2
    exit 1
}

# as_root COMMAND…
as_root() {
    if ((EUID == 0)); then
        "$@"
        return
    fi
    command -v sudo >/dev/null || missing "sudo, or to be run as root, for: $*"
    sudo "$@"
}

# apt PACKAGE…: from Debian, or whatever else has apt-get.
apt() {
    command -v apt-get >/dev/null || missing "$*, and there is no apt-get to install it with: install it and run $0 again"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq update
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes --no-install-recommends "$@"
}

need_curl() {
    command -v curl >/dev/null || apt curl ca-certificates
}

need_ip() {
    command -v ip >/dev/null || apt iproute2
}

need_openssl() {
    command -v openssl >/dev/null || apt openssl
}

# Not in everybody's PATH.
need_nginx() {
    command -v nginx >/dev/null || [[ -x /usr/sbin/nginx ]] || apt nginx-light
}

# Python too, whose standard library opens the terminal.
need_shells() {
    { command -v python3 && command -v zsh && command -v fish; } >/dev/null || apt python3 zsh fish
}

need_haproxy() {
    command -v haproxy >/dev/null || [[ -x /usr/sbin/haproxy ]] || apt haproxy
}

need_redis() {
    command -v redis-server >/dev/null || apt redis-server
}

need_wrk() {
    command -v wrk >/dev/null || apt wrk
}

need_chromium() {
    [[ -x ${CHROMIUM:-/usr/bin/chromium} ]] || apt chromium
}

need_testssl() {
    command -v testssl >/dev/null || apt testssl.sh
}

need_slowhttptest() {
    command -v slowhttptest >/dev/null || apt slowhttptest
}

# Both programs are in one package, whose service is not wanted.
need_prometheus() {
    { command -v promtool && command -v prometheus; } >/dev/null && return
    apt prometheus
}

need_rust() {
    command -v cargo >/dev/null || missing "Rust: install it with rustup"
    if ! { cargo fmt --version && cargo clippy --version; } >/dev/null 2>&1; then
        rustup component add rustfmt clippy
    fi
    # Rust has no linker of its own, and aws-lc-sys is C.
    command -v cc >/dev/null || apt gcc libc6-dev
}

# For the tests that set the clock of a running program; without it they are left out, with a word about it.
need_faketime() {
    [[ $(uname) == Linux ]] || return 0
    compgen -G '/usr/lib/*/faketime/libfaketimeMT.so.1' >/dev/null || apt faketime
}

need_node() {
    local too_old="process.exit(Number.parseInt(process.versions.node) < $MIN_NODE ? 1 : 0)"
    if ! { command -v node && command -v npm; } >/dev/null; then
        missing "Node $MIN_NODE or newer, with npm"
    fi
    node -e "$too_old" || missing "Node $MIN_NODE or newer; this is $(node --version)"
}

need_cargo_deny() {
    need_rust
    [[ $("$CARGO_DENY" --version 2>/dev/null) == "cargo-deny $CARGO_DENY_VERSION" ]] && return
    # A target folder of its own: its thousand files are not ours, and go when it is built.
    cargo install --quiet --locked --root "$CARGO_TARGET_DIR/tools" --target-dir "$CARGO_TARGET_DIR/tools/build" \
        "cargo-deny@$CARGO_DENY_VERSION"
    rm -rf "$CARGO_TARGET_DIR/tools/build"
}

# Links liblzma, which it builds where there is none.
need_cargo_deb() {
    need_rust
    # It finds out from dpkg's tools which libraries the program depends on.
    command -v dpkg-shlibdeps >/dev/null || apt dpkg-dev
    [[ $("$CARGO_DEB" --version 2>/dev/null) == "cargo-deb $CARGO_DEB_VERSION" ]] && return
    cargo install --quiet --locked --root "$CARGO_TARGET_DIR/tools" --target-dir "$CARGO_TARGET_DIR/tools/build" \
        "cargo-deb@$CARGO_DEB_VERSION"
    rm -rf "$CARGO_TARGET_DIR/tools/build"
}

need_cargo_cyclonedx() {
    need_rust
    [[ $("$CARGO_CYCLONEDX" cyclonedx --version 2>/dev/null) == "cargo-cyclonedx-cyclonedx $CARGO_CYCLONEDX_VERSION" ]] && return
    cargo install --quiet --debug --locked --root "$CARGO_TARGET_DIR/tools" --target-dir "$CARGO_TARGET_DIR/tools/build" \
        "cargo-cyclonedx@$CARGO_CYCLONEDX_VERSION"
    rm -rf "$CARGO_TARGET_DIR/tools/build"
}

need_lintian() {
    command -v lintian >/dev/null || apt lintian
}

# Makes small systems, and boots them.
need_throwaway_system() {
    command -v mmdebstrap >/dev/null || apt mmdebstrap
    command -v systemd-nspawn >/dev/null || apt systemd-container
}

need_mdbook() {
    need_rust
    [[ $("$MDBOOK" --version 2>/dev/null) == "mdbook v$MDBOOK_VERSION" ]] && return
    # A few pages need no optimised program, which takes thrice as long to build.
    cargo install --quiet --debug --locked --no-default-features --features search --root "$CARGO_TARGET_DIR/tools" \
        --target-dir "$CARGO_TARGET_DIR/tools/build" "mdbook@$MDBOOK_VERSION"
    rm -rf "$CARGO_TARGET_DIR/tools/build"
}

# The program as `cargo run` builds it, and not with the features that its tests add: what it lacks without them shows here.
need_program() {
    need_rust
    cargo build --locked --package token-provider-server
    export TOKEN_PROVIDER_BIN="$CARGO_TARGET_DIR/debug/token-provider"
}

# The program as it is shipped.
need_release() {
    need_rust
    cargo build --locked --release --package token-provider-server
}

host_target() {
    rustc --version --verbose | sed -n 's/^host: //p'
}

# The target that programs without libraries of the system are built for.
need_musl() {
    need_rust
    local target
    target="$(uname -m)-unknown-linux-musl"
    [[ -d $(rustc --print target-libdir --target "$target" 2>/dev/null) ]] || rustup target add "$target"
    command -v musl-gcc >/dev/null || apt musl-tools
}

need_podman() {
    command -v podman >/dev/null && command -v runc >/dev/null && return
    apt podman runc
}

# Debian's compiler and the source of its standard library, which is compiled for targets that rustup's is not there for.
need_debian_rust() {
    [[ -x /usr/bin/cargo && -x /usr/bin/rustc && -d /usr/lib/rustlib/src/rust/library/std ]] || apt cargo-web rustc-web rust-web-src
}

# Runs programs for other processors.
need_qemu() {
    command -v qemu-aarch64-static >/dev/null || apt qemu-user-static
}

need_shellcheck() {
    command -v shellcheck >/dev/null || apt shellcheck
}

need_mingw() {
    command -v x86_64-w64-mingw32-g++ >/dev/null || apt gcc-mingw-w64-x86-64 g++-mingw-w64-x86-64
}

# Runs programs for Windows. Sets WINE to how; each run has a Windows of its own, to be thrown away.
need_wine() {
    WINE=/usr/lib/wine/wine64
    [[ -x $WINE ]] || apt wine64
    # Neither .NET nor a browser.
    export WINEDEBUG=-all WINEDLLOVERRIDES='mscoree,mshtml='
}

need_readelf() {
    command -v readelf >/dev/null || apt binutils
}

need_systemd() {
    command -v systemd-analyze >/dev/null || apt systemd
}

# Installs what this folder's lock file says, unless that was done already. No package's own scripts are run.
npm_ci() {
    local wanted
    wanted=$(cat package.json package-lock.json)
    [[ -f node_modules/.installed && $(<node_modules/.installed) == "$wanted" ]] && return
    npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
    printf '%s\n' "$wanted" >node_modules/.installed
}

# The client package as it would be published.
need_client() {
    (cd clients/typescript && npm_ci && npm run --silent build)
}

# need_venv FOLDER: a Python environment with what FOLDER/requirements.txt lists, by hash. Sets PYTHON to its interpreter.
need_venv() {
    local venv="$CARGO_TARGET_DIR/venv/${1//\//-}" wanted="$1/requirements.txt"
    PYTHON="$venv/bin/python"
    "$PYTHON" -c '' 2>/dev/null && cmp -s "$wanted" "$venv/requirements.txt" && return
    # Debian has ensurepip, which venv cannot do without, in a package of its own.
    python3 -c 'import ensurepip, venv' 2>/dev/null || apt python3 python3-venv
    python3 -m venv --clear "$venv"
    "$PYTHON" -m pip install --quiet --no-input --disable-pip-version-check --require-hashes --only-binary :all: -r "$wanted"
    cp "$wanted" "$venv/requirements.txt"
}

# bounded SECONDS COMMAND…: nothing that hangs keeps the rest from being told.
bounded() {
    if command -v timeout >/dev/null; then
        timeout --kill-after=10 "$@"
    else
        shift
        "$@"
    fi
}
