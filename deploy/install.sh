#!/bin/sh
# Install into virtual environment $1, made with a Python of at least version $2, everything that the
# constraints files $3… name, each file's hash checked. Does nothing when that was done already.
set -eu
venv=$1 minimum=$2
shift 2
here=$(dirname "$0")
stamp=$venv/.installed
wanted=$(cat "$@" pyproject.toml | cksum)

if [ -x "$venv/bin/python" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then
    exit 0
fi
if ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    python=$(sh "$here/python.sh" "$minimum")
    echo "Making $venv with $("$python" --version) …" >&2
    "$python" -m venv --clear "$venv" || {
        echo "This Python cannot make virtual environments; on Debian and Ubuntu: apt install python3-venv" >&2
        exit 1
    }
fi
echo "Installing $(cat "$@" | grep -c '==') packages into $venv, once; this takes about a minute …" >&2
install="$venv/bin/python -m pip install --quiet --disable-pip-version-check --require-virtualenv"
rm -f "$stamp"
$install --require-hashes -r "$1"
shift
for more in "$@"; do
    $install --require-hashes --no-deps -r "$more"
done
$install --no-deps --no-build-isolation -e .
echo "$wanted" > "$stamp"
