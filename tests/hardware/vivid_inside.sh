#!/bin/bash
# Runs inside the machine that vivid.sh boots.
started=$SECONDS

say() { echo "vivid: $((SECONDS - started)) s: $*"; }

property() { systemctl show fer-edge --property="$1" --value; }

wait_for() { # PROPERTY TEXT WHAT
    for _ in $(seq 600); do
        case $(property "$1") in *"$2"*) say "$3: $(property "$1")"; return ;; esac
        sleep 0.5
    done
    say "FAILED: $3: $1 is '$(property "$1")', never '$2'"
    journalctl --unit=fer-edge --no-pager | tail -30
    exit 1
}

wait_for StatusText "waiting for the camera" "no camera at boot"
modprobe vivid n_devs=1
wait_for StatusText "FPS" "a camera came after the boot"

if second=$(fer-edge run --source 0 --max-frames 1 2>&1); then
    say "FAILED: a second program has the same camera"
    exit 1
fi
say "a second program: $second"

v4l2-ctl --device=/dev/video0 --set-ctrl=disconnect=1
wait_for StatusText "waiting for the camera" "unplugged"
modprobe -r vivid
modprobe vivid n_devs=1
wait_for StatusText "FPS" "plugged in again"

lines=$(wc -l </var/lib/fer-edge/faces.jsonl)
date -s "+1 year" >/dev/null
sleep 3
wait_for StatusText "FPS" "the clock was put forward by a year"
[ "$(property NRestarts)" = 0 ] || { say "FAILED: restarted $(property NRestarts) times"; exit 1; }

systemctl set-property --runtime fer-edge MemoryMax=30M
wait_for Result "oom-kill" "memory limited to 30 MB"
systemctl set-property --runtime fer-edge MemoryMax=512M
wait_for StatusText "FPS" "memory given back"
[ "$(cat /var/lib/fer-edge/faces.jsonl* | wc -l)" -ge "$lines" ] || { say "FAILED: lines were lost"; exit 1; }

journalctl --unit=fer-edge --no-pager --output=cat --priority=warning | sed 's/^/vivid: journal: /'
echo "vivid: passed"
