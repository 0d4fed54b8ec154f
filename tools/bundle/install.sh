#!/bin/sh
# Installs quanmin from this folder, without a network.
#
#   ./install.sh [FOLDER]     default: /opt/quanmin; PYTHON=... chooses the Python
#
# Needs the Python this bundle was made for (see BUNDLE) with its venv module, and nothing else.
set -eu
cd "$(dirname "$0")"
folder=${1:-/opt/quanmin}
python=${PYTHON:-python3}

fail() { echo "not installed: $*" >&2; exit 2; }
made_for() { sed -n "s/^$1: //p" BUNDLE; }

echo "== checking the files"
sha256sum --check --quiet SHA256SUMS || fail "a file is damaged or missing: copy the bundle again"

machine=$(uname -m)
[ "$machine" = "$(made_for machine)" ] ||
    fail "this machine is $machine, the bundle is for $(made_for machine)"
command -v "$python" >/dev/null || fail "no $python here: install Python $(made_for python)"
found=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
[ "$found" = "$(made_for python)" ] ||
    fail "$python is $found, the bundle is for $(made_for python): set PYTHON to that one"

echo "== installing into $folder"
"$python" -m venv "$folder" ||
    fail "$python has no venv module: install it from the system's packages (python3-venv)"
# Whatever this machine tells pip elsewhere does not hold here.
export PIP_CONFIG_FILE=/dev/null
# Hashes are checked again, package by package; nothing outside this folder is looked at.
install() {
    "$folder/bin/python" -m pip --isolated install --disable-pip-version-check \
        --no-index --no-cache-dir "$@"
}
install --find-links wheels --only-binary :all: --require-hashes --requirement requirements.lock
install --no-deps --force-reinstall wheels/quanmin-*.whl

echo "== installed quanmin $(made_for version)"
echo "start a node:          $folder/bin/quanmin node start"
echo "see it with a province: $folder/bin/quanmin demo"
