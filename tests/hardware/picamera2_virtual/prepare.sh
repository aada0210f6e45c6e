#!/usr/bin/env bash
# Prepares a Debian sid root with the real picamera2 on libcamera's virtual camera, which shows the demo's first second.
#     sudo tests/hardware/picamera2_virtual/prepare.sh ROOT
#     sudo FER_PICAMERA2=ROOT pytest tests/hardware/test_picamera2.py
# Needs debootstrap, and a Python with fer-edge (PYTHON=…, python3 if left out). About five minutes, 1.6 GB.
set -euo pipefail
root=$1
here=$(cd "$(dirname "$0")" && pwd)

[ -d "$root/etc" ] || debootstrap --variant=minbase sid "$root" http://deb.debian.org/debian
mkdir -p "$root/root/frames" "$root/usr/share/libcamera/pipeline/virtual"
cp "$here/udmabuf.c" "$root/root/"
cat >"$root/usr/share/libcamera/pipeline/virtual/virtual.yaml" <<'YAML'
"Virtual0":
  supported_formats:
    - {width: 640, height: 480, frame_rates: [30]}
    - {width: 320, height: 240, frame_rates: [30]}
  location: "CameraLocationFront"
  model: "Virtual"
  frames:
    path: "/root/frames/"
YAML
chroot "$root" bash -euo pipefail <<'INSIDE'
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -qq -y --no-install-recommends gcc libc6-dev libcamera-ipa libcap-dev libgl1 libglib2.0-0 python3-av \
    python3-dev python3-libcamera python3-prctl python3-venv
cd /root
gcc -shared -fPIC -O1 -o udmabuf.so udmabuf.c
python3 -m venv --system-site-packages venv
venv/bin/pip install --quiet picamera2 ai-edge-litert 'opencv-python-headless>=4.11,<5' pydantic rich typer
INSIDE
"${PYTHON:-python3}" - "$root/root/frames" <<'FRAMES'
import sys
from pathlib import Path

import cv2

from fer_edge.sources.demo import DemoSource

with DemoSource(paced=False) as demo:
    for frame in demo:
        cv2.imwrite(str(Path(sys.argv[1]) / f"{frame.index}.jpg"), frame.image)
        if frame.index == 29:
            break
FRAMES
