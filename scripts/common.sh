# Functions of setup, test, demo and .ci/run; sourced, not run. POSIX sh. Each function says what it does, does nothing where
# all is there, and stops the script with one sentence where it cannot go on.

root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
target=${CARGO_TARGET_DIR:-$root/target}
venv=$root/.venv
venv_zarr2=$root/.venv-zarr2

say() { printf '%s\n' "== $*"; }
die() { printf '%s\n' "$(basename "$0"): $*" >&2; exit 1; }
has() { command -v "$1" >/dev/null 2>&1; }

# Runs a command as root.
as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"
    elif has sudo; then sudo "$@"
    else die "this needs root: $*"; fi
}

# What the build and the mount need from the system; `tests` adds what the client tests need, `all` the readers that come as packages.
setup_system() {
    packages=
    has cc || packages="$packages gcc libc6-dev"
    has fusermount3 || packages="$packages fuse3"
    has curl || packages="$packages curl ca-certificates"
    case ${1:-} in tests | all)
        python3 -c 'import venv, ensurepip' 2>/dev/null || packages="$packages python3 python3-venv"
        has rsync || packages="$packages rsync"
        ;;
    esac
    if [ "${1:-}" = all ]; then
        has gdal_translate || packages="$packages gdal-bin"
        has ncdump || packages="$packages netcdf-bin"
        has ncks || packages="$packages nco"
        has cdo || packages="$packages cdo"
    fi
    if [ -n "$packages" ]; then
        has apt-get || die "please install what Debian calls$packages, then run this again"
        say "installing packages:$packages"
        as_root env DEBIAN_FRONTEND=noninteractive apt-get update -q
        # shellcheck disable=SC2086  # a list of words
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $packages
    fi
    [ -e /dev/fuse ] || say "there is no /dev/fuse here: gribfs builds, but cannot mount (in a container: --device /dev/fuse --cap-add SYS_ADMIN)"
}

# Where cargo builds: a configuration file may say so as well as CARGO_TARGET_DIR. Once there is cargo.
ask_target() {
    target=$(cargo metadata --no-deps --format-version 1 | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')
    [ -n "$target" ] || die "cargo does not say where it builds"
    zarrs_reader=$target/zarrs_reader/debug/zarrs_reader
}

# "1.88" of Cargo.toml against `cargo --version`.
rust_is_new_enough() {
    has cargo || return 1
    wanted=$(sed -n 's/^rust-version = "\([0-9.]*\)".*/\1/p' Cargo.toml)
    found=$(cargo --version 2>/dev/null | sed 's/^cargo \([0-9]*\.[0-9]*\).*/\1/')
    [ -n "$found" ] && [ "$(printf '%s\n%s\n' "$wanted" "$found" | sort -V | head -n 1)" = "$wanted" ]
}

# Rust by its own installer, for this user only, where there is none or only one that is too old.
setup_rust() {
    if ! rust_is_new_enough && [ -f "${CARGO_HOME:-$HOME/.cargo}/env" ]; then
        # shellcheck disable=SC1091  # written by rustup
        . "${CARGO_HOME:-$HOME/.cargo}/env"
    fi
    rust_is_new_enough && return 0
    say "installing Rust with rustup, below ${CARGO_HOME:-$HOME/.cargo} (found: $(cargo --version 2>/dev/null || echo none))"
    curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | RUSTUP_INIT_SKIP_PATH_CHECK=yes sh -s -- -y --no-modify-path --profile default
    # shellcheck disable=SC1091
    . "${CARGO_HOME:-$HOME/.cargo}/env"
    rust_is_new_enough || rustup update stable
    rust_is_new_enough || die "cargo is $(cargo --version), Cargo.toml wants $wanted"
}

# First interpreter among the arguments after VERSIONS that is one of them: pick_python "3.11 3.12" python3 python3.12
pick_python() {
    versions=$1
    shift
    for candidate in "$@"; do
        version=$("$candidate" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || continue
        case " $versions " in
        *" $version "*)
            echo "$candidate"
            return 0
            ;;
        esac
    done
    return 1
}

# environment FOLDER PYTHON REQUIREMENTS...: a virtual environment; made anew when the requirements or the Python change.
environment() {
    folder=$1 python=$2
    shift 2
    stamp=$("$python" --version 2>&1; cat "$@")
    if [ -x "$folder/bin/python" ] && [ "$(cat "$folder/ready" 2>/dev/null)" = "$stamp" ]; then return 0; fi
    say "making $(basename "$folder") with $("$python" --version) from $*"
    [ -f "$folder/ready" ] || rm -rf "$folder"
    rm -f "$folder/ready"
    "$python" -m venv "$folder"
    files=
    for file in "$@"; do files="$files -r $file"; done
    # shellcheck disable=SC2086  # a list of words
    "$folder/bin/python" -m pip install -q --disable-pip-version-check $files || die "pip could not fill $(basename "$folder")"
    printf '%s\n' "$stamp" >"$folder/ready"
}

# The reader of tests/clients that is written in Rust (zarrs). Its own package, so that others need not compile it.
zarrs_reader=$target/zarrs_reader/debug/zarrs_reader
setup_zarrs_reader() {
    cargo build -q --locked --manifest-path tests/clients/zarrs_reader/Cargo.toml --target-dir "$target/zarrs_reader"
}

# Environments of the client tests: .venv with zarr-python 3 and further readers, .venv-zarr2 with zarr-python 2.18.
setup_python() {
    if python=$(pick_python "3.11 3.12 3.13" "${PYTHON:-python3}" python3.13 python3.12 python3.11); then
        environment "$venv" "$python" tests/clients/requirements.txt
    else
        say "skipped: client tests (they need Python 3.11, 3.12 or 3.13; python3 is $(python3 --version 2>&1))"
        return 0
    fi
    # The pinned versions of yesterday have wheels for 3.11 to 3.13 and no others.
    environment "$venv_zarr2" "$python" tests/clients/requirements-zarr2.txt
}
