#!/usr/bin/env bash
# Prepares what a make target needs, from nothing; the second time it finds everything there.
#
#   tools/set_up.sh runtime    a virtual environment with the locked packages a node runs on
#   tools/set_up.sh dev        the same, with what tests and checks need
#   tools/set_up.sh browser    a browser and Chinese fonts, for the tests that drive pages
#   tools/set_up.sh printing   what PDFs are set with (Pango, Chinese fonts)
#
# Packages are taken by hash from the lock files, so that nothing else can be installed.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '== %s\n' "$*"; }
fail() { printf 'set-up stopped: %s\n' "$*" >&2; exit 2; }

ensure_python() {
    local python=${PYTHON:-python3}
    command -v "$python" >/dev/null || fail "no $python here: install Python 3.11 or later"
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        fail "$("$python" --version) is too old: set PYTHON to a Python 3.11 or later"
    [[ -x .venv/bin/python ]] && return
    say "creating the virtual environment .venv"
    "$python" -m venv .venv && return
    rm -rf .venv
    (( EUID == 0 )) && command -v apt-get >/dev/null ||
        fail "this Python has no venv module: install it (Debian: apt-get install python3-venv)"
    say "this Python has no venv module: installing python3-venv"
    apt-get update -qq && apt-get install -y -qq --no-install-recommends python3-venv
    "$python" -m venv .venv
}

install_locked() {
    local lock=$1 stamp
    stamp=.venv/set-up-$(cat "$lock" pyproject.toml | sha256sum | cut -c1-16)-$(basename "$lock")
    [[ -e $stamp ]] && return
    say "installing the packages of $lock"
    .venv/bin/python -m pip install --disable-pip-version-check --require-hashes -r "$lock"
    local -a gone
    mapfile -t gone < <(.venv/bin/python tools/dropped.py "$lock" | sed '/^$/d')
    if (( ${#gone[@]} )); then
        say "removing what $lock no longer names: ${gone[*]}"
        .venv/bin/python -m pip uninstall --disable-pip-version-check --quiet --yes "${gone[@]}"
    fi
    # Without isolation and dependencies nothing is fetched here beyond the lock.
    say "installing quanmin itself, in place"
    local builder=.venv/bin/python
    "$builder" -c 'import hatchling' 2>/dev/null ||
        "$builder" -m pip install --disable-pip-version-check --quiet --require-hashes \
            -r <("$builder" tools/building.py requirements-dev.lock)
    "$builder" -m pip install --disable-pip-version-check --quiet --no-deps \
        --no-build-isolation --editable .
    rm -f .venv/set-up-*-"$(basename "$lock")"
    touch "$stamp"
}

missing_fonts() {
    # Not by a pipe into `grep -q`: it ends early, and pipefail would call that a missing font.
    [[ $(fc-list 2>/dev/null) == *Noto*CJK* ]] || echo fontconfig fonts-noto-cjk
}

missing_pango() {
    local known library
    known=$(PATH=$PATH:/sbin:/usr/sbin ldconfig -p 2>/dev/null)
    for library in pango-1.0 pangoft2-1.0 harfbuzz-subset; do
        [[ $known == *lib$library.so.0* ]] && continue
        [[ $library == harfbuzz-subset ]] && echo libharfbuzz-subset0 || echo "lib$library-0"
    done
}

# Installs packages of the system where that is possible; else says what is then not there.
ensure_packages() {
    local without=$1
    shift
    (( $# == 0 )) && return
    if (( EUID != 0 )) || ! command -v apt-get >/dev/null; then
        say "missing: $*; $without." \
            "Install these packages, or run this as root on Debian or Ubuntu"
        return
    fi
    say "installing $*"
    if ! { apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends "$@"; }; then
        say "could not install $*; $without"
    fi
}

ensure_browser() {
    local missing=()
    command -v chromium >/dev/null || command -v chromium-browser >/dev/null ||
        missing+=(chromium)
    # shellcheck disable=SC2046  # words are packages
    ensure_packages "the tests that drive a browser will skip and say so" \
        "${missing[@]}" $(missing_fonts)
}

ensure_printing() {
    # shellcheck disable=SC2046  # words are packages
    ensure_packages "pages that are PDFs will answer that they cannot be made here" \
        $(missing_pango) $(missing_fonts)
}

# Two targets started at once must not write into one environment.
exec 9>.set-up.lock
flock 9

case ${1:-} in
    runtime)
        # The development environment holds the runtime one.
        lock=requirements.lock
        compgen -G '.venv/set-up-*-requirements-dev.lock' >/dev/null && lock=requirements-dev.lock
        ensure_python
        install_locked "$lock"
        ;;
    dev)
        ensure_python
        install_locked requirements-dev.lock
        ;;
    browser) ensure_browser ;;
    printing) ensure_printing ;;
    *) fail "say what to prepare: runtime, dev, browser or printing" ;;
esac
