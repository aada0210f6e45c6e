#!/bin/sh
# From labelled samples on a device to a better model that runs there. Run it on a workstation, in a checkout of fer-edge.
#
#     examples/refresh.sh DEVICE BUNDLE [MODEL]
#     examples/refresh.sh pi models/kitchen
#
# DEVICE is a host with the service, which ssh reaches, and where sudo asks for no password. MODEL is what to begin
# with; BUNDLE itself once it is there. Set FER_DATA to the data set of MODEL: without it little is gained.
# Exit code 1: the new model is no better, and the device keeps its own.
set -eu

[ $# -ge 2 ] || { sed -n '2,9s/^# \{0,1\}//p' "$0" >&2; exit 2; }
device=$1 bundle=$2 model=${3:-ferplus7}
if [ -f "$bundle/model.json" ]; then model=$bundle; fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

ssh "$device" sudo sh -eu >"$work/samples.tar" <<'DEVICE'
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
fer-edge samples export "$folder/samples" --config /etc/fer-edge/config.toml >&2
tar -cf - -C "$folder" samples
DEVICE
tar -xf "$work/samples.tar" -C "$work"

fer-train refresh "$work/samples" --model "$model" --out "$bundle"

tar -czf "$work/model.tar.gz" -C "$(dirname "$bundle")" "$(basename "$bundle")"
# The device replaces these variables.
# shellcheck disable=SC2016
ssh "$device" 'file=$(mktemp --suffix .tar.gz) && cat >"$file" && sudo fer-edge models install --use "$file" && rm "$file"' \
    <"$work/model.tar.gz"
