#!/bin/sh
# Print the first Python on this machine that is at least version $1 (3.11), or say what is missing.
set -eu
minimum=${1:-3.11}
minor=${minimum#3.}
test_version="import sys; sys.exit(not ((3, $minor) <= sys.version_info[:2] < (3, 15)))"

for candidate in ${PYTHON:-} python3 python3.13 python3.12 python3.14 python3.11 \
    "$HOME"/.pyenv/versions/3.1[1-4].*/bin/python3 "$HOME"/.local/share/uv/python/cpython-3.1[1-4].*/bin/python3; do
    if "$candidate" -c "$test_version" >/dev/null 2>&1; then
        command -v "$candidate"
        exit 0
    fi
done
echo "Roost needs Python $minimum or newer; install it, or name it: make PYTHON=/path/to/python3 …" >&2
exit 1
