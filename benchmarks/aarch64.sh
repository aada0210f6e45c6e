#!/usr/bin/env bash
# Prepare a folder in which this package's runtime runs as 64-bit Arm code on an x86-64 Debian machine, emulated:
#
#     sudo benchmarks/aarch64.sh FOLDER
#     FER_ARM64=FOLDER make test ARGS='-k aarch64'
#
# Bookworm's arm64 packages are unpacked, never run as root; the emulator is trixie's (bookworm's 7.2 computes wrong
# int8 results). About three minutes and 1 GB. Emulated times say nothing about a real board.
set -euo pipefail

folder=${1:?usage: aarch64.sh FOLDER}
project=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
for tool in debootstrap dpkg unzip python3; do
    command -v "$tool" >/dev/null || { echo "$tool is missing: apt install debootstrap dpkg unzip python3-venv" >&2; exit 2; }
done

unpack() { # ARCHITECTURE SUITE PACKAGE TARGET
    debootstrap --foreign --variant=minbase --arch="$1" --include="$3" "$2" "$4" >/dev/null
    for package in "$4"/var/cache/apt/archives/*.deb; do
        dpkg -x "$package" "$4"
    done
}

unpack arm64 bookworm python3 "$folder/root"
unpack amd64 trixie qemu-user "$folder/host"

python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --upgrade pip
"$folder/venv/bin/pip" install --quiet --target "$folder/site" --only-binary=:all: --python-version 3.11 \
    --platform manylinux_2_28_aarch64 --platform manylinux_2_27_aarch64 --platform manylinux_2_17_aarch64 \
    --platform manylinux2014_aarch64 --implementation cp --abi cp311 --abi abi3 --abi none \
    ai-edge-litert 'opencv-python-headless<5' 'pydantic>=2.7'
"$folder/venv/bin/pip" install --quiet --target "$folder/site" --no-deps "$project"

cat >"$folder/python" <<END
#!/bin/sh
PYTHONHOME="$folder/root/usr" PYTHONPATH="$folder/site" exec "$folder/host/usr/bin/qemu-aarch64" \\
    -L "$folder/root" -cpu cortex-a72 "$folder/root/usr/bin/python3.11" "\$@"
END
chmod +x "$folder/python"
"$folder/python" -c 'import platform; print(platform.machine(), "is ready")'
