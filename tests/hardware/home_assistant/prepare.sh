#!/usr/bin/env bash
# Prepares a Debian Trixie root with Home Assistant Core, which wants a newer Python than Debian Bookworm has.
#     sudo tests/hardware/home_assistant/prepare.sh ROOT
#     sudo FER_HOME_ASSISTANT=ROOT pytest tests/hardware/test_home_assistant.py
# Needs debootstrap. About five minutes, 1.4 GB.
set -euo pipefail
root=$1

[ -d "$root/etc" ] || debootstrap --variant=minbase --include=ca-certificates,python3-venv trixie "$root" http://deb.debian.org/debian
chroot "$root" bash -euo pipefail <<'INSIDE'
export DEBIAN_FRONTEND=noninteractive
apt-get install -qq -y --no-install-recommends gcc libc6-dev libffi-dev python3-dev
python3 -m venv /opt/hass
/opt/hass/bin/pip install --quiet homeassistant==2026.2.3
# What the parts that the test switches on ask for; Home Assistant would install it while it starts. The description of
# an update entity needs assist_pipeline, or the browser waits for it for ever.
/opt/hass/bin/python - <<'FIND' >/opt/hass/requirements.txt
import json
from pathlib import Path

import homeassistant.components

components = Path(homeassistant.components.__path__[0])
wanted, seen = ["assist_pipeline", "automation", "config", "frontend", "history", "image", "mqtt", "person"], set()
while wanted:
    name = wanted.pop()
    if name not in seen:
        seen.add(name)
        manifest = json.loads((components / name / "manifest.json").read_text())
                print("\n".join(manifest.get("requirements", [])))
FIND
/opt/hass/bin/pip install --quiet --requirement /opt/hass/requirements.txt
INSIDE
