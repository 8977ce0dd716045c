#!/bin/sh
# Makes .venv with everything that setup.py names, when it is missing, when setup.py has changed since, when the folder
# was moved, or when its Python is gone. Says nothing when there is nothing to do.
set -eu
cd "$(dirname "$0")/.."

here="$(pwd -P)"
wanted="$(cat setup.py constraints.txt devstack/environment.sh | cksum)"
usable() { # scripts in .venv name the folder that it was made in
    [ "$(cat .venv/made-in 2>/dev/null || echo "$here")" = "$here" ] && .venv/bin/python -c '' 2>/dev/null
}
if [ "$(cat .venv/ready 2>/dev/null)" = "$wanted" ] && usable; then
    exit 0
fi

for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        python="$candidate"
        break
    fi
done
if [ -z "${python:-}" ]; then
    echo "Python 3.11 or newer is needed, and none was found; name one: make PYTHON=/path/to/python3.12" >&2
    exit 1
fi

echo "Installing into .venv (about a minute the first time) ..."
log="$(mktemp)"
trap 'rm -f "$log"' EXIT
rm -f .venv/ready
usable || rm -rf .venv
if ! { [ -d .venv ] || "$python" -m venv .venv; } >"$log" 2>&1 ||
    ! printf '%s\n' "$here" >.venv/made-in ||
    ! .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-input --constraint constraints.txt \
        --config-settings editable_mode=compat --editable '.[local,test,lint]' >"$log" 2>&1; then
    cat "$log" >&2
    echo "The environment could not be made. Is the package index reachable? On Debian: apt install python3-venv" >&2
    exit 1
fi
printf '%s\n' "$wanted" >.venv/ready
