#!/usr/bin/env bash
# Install fer-edge from this checkout as a service that starts at boot: Raspberry Pi OS and Debian, Bookworm or Trixie.
#
#     sudo systemd/install.sh [--extras mqtt,display] [--no-fetch] [--dry-run]
#     sudo systemd/install.sh --uninstall [--dry-run]
#
# Run it again to upgrade. The new version goes beside the old one and takes its place only when it can read
# /etc/fer-edge/config.toml, which is never changed, and open the model; else the old one goes on. If the service does not
# get ready with the new version, the old one is put back.
# --extras adds packages; mqtt comes without asking, and an upgrade keeps those of before.
# --no-fetch leaves MediaPipe's models (2 MB, for --detector mediapipe) out.
# --dry-run prints what would be done; --uninstall keeps the configuration and what was recorded.
set -euo pipefail

HERE=$(cd "$(dirname "$0")" && pwd)
PROJECT=$(dirname "$HERE")
PREFIX=/opt/fer-edge
CONFIG=/etc/fer-edge/config.toml
UNIT=/etc/systemd/system/fer-edge.service
SYSUSERS=/etc/sysusers.d/fer-edge.conf
COMMAND=/usr/local/bin/fer-edge

main() {
    dry_run=false uninstall=false fetch=true extras=$(cat "$PREFIX/current/extras" 2>/dev/null || echo mqtt)
    local added
    while [ $# -gt 0 ]; do
        case $1 in
            --dry-run) dry_run=true ;;
            --uninstall) uninstall=true ;;
            --no-fetch) fetch=false ;;
            --extras)
                added=$(tr -d '[:space:]' <<<"${2:-}")
                [[ $added =~ ^[a-z0-9][a-z0-9,-]*$ ]] || fail "--extras needs a list such as mqtt,display, not '${2:-}'"
                extras=$(tr , '\n' <<<"$extras,$added" | awk 'NF && !seen[$0]++' | paste -sd ,)
                shift
                ;;
            -h | --help) sed -n '2,/^set/{s/^# \?//p}' "$0"; exit ;;
            *) fail "unknown option $1. Known: --extras LIST, --no-fetch, --dry-run, --uninstall, --help" ;;
        esac
        shift
    done
    $dry_run || [ "$(id -u)" = 0 ] || fail "must run as root: sudo $0. To see what it would do: $0 --dry-run"
    command -v apt-get >/dev/null || fail "there is no apt-get: this is for Raspberry Pi OS and Debian"
    if $uninstall; then remove; else install_all; fi
}

install_all() {
    install_packages
    run install -m 644 "$HERE/sysusers.conf" -D "$SYSUSERS"
    run systemd-sysusers "$SYSUSERS"
    run install -d -m 750 -o fer-edge -g fer-edge /var/lib/fer-edge
    install_program
    configure
    check_program
    fetch_models
    keep_unit
    trap '' HUP INT TERM # a terminal that closes now must not leave a version that does not start
    switch_to "$new"
    start || go_back
    [ -z "$old" ] || run rm -rf "$old"
    say "installed. How it does: fer-edge service status"
}

install_packages() {
    local packages=(python3-venv libgl1 libglib2.0-0)
    if has_picamera2; then packages+=(python3-picamera2); fi
    # SDL loads these where there is no desktop.
    case ,$extras, in *,display,*) packages+=(libegl1 libgbm1 libgles2) ;; esac
    export DEBIAN_FRONTEND=noninteractive
    say "installing Debian's packages: ${packages[*]}"
    run apt-get install -qq -y --no-install-recommends "${packages[@]}" || {
        run apt-get update -qq
        run apt-get install -qq -y --no-install-recommends "${packages[@]}"
    }
}

has_picamera2() { # Raspberry Pi OS has it as a package; so has nobody else that this is for
    apt-cache show python3-picamera2 >/dev/null 2>&1
}

install_program() {
    local environment=() numpy=()
    new=$PREFIX/a
    old=$(readlink "$PREFIX/current" 2>/dev/null || true)
    [ "$old" = "$PREFIX/a" ] && new=$PREFIX/b
    if has_picamera2; then
        environment=(--system-site-packages)
        # Bookworm's picamera2 was built for numpy 1, and cannot be used beside numpy 2.
        python3 -c 'import numpy, sys; sys.exit(numpy.__version__ >= "2")' 2>/dev/null && numpy=('numpy<2')
    fi
    say "installing the program with $extras; this takes some minutes on a Raspberry Pi"
    run rm -rf "$new"
    run python3 -m venv ${environment[@]+"${environment[@]}"} "$new"
    if ! run "$new/bin/pip" install --quiet --disable-pip-version-check "${PROJECT}[$extras]" ${numpy[@]+"${numpy[@]}"}; then
        rm -rf "$new"
        fail "pip cannot install the program (why: above). ${old:+The old version goes on. }Fix that and run this again"
    fi
    $dry_run || echo "$extras" >"$new/extras"
    run install -m 644 -D -t "$new/systemd" "$HERE/fer-edge.service"
    run install -m 755 -t "$new/systemd" "$HERE/pause.sh"
}

configure() { # every key, commented; those that a service needs set
    [ ! -e "$CONFIG" ] || return 0
    run install -m 640 -g fer-edge -D /dev/null "$CONFIG"
    run_into "$CONFIG" "$new/bin/fer-edge" config --default --config "$HERE/config.toml"
}

check_program() {
    if ! run "$new/bin/fer-edge" service check --config "$CONFIG"; then
        rm -rf "$new"
        fail "the new version does not start with $CONFIG (why: above). ${old:+The old version goes on. }Fix that and run" \
            "this again; a package that is missing comes by --extras"
    fi
}

fetch_models() { # for the detector that finds more faces; the service goes on without
    $fetch || return 0
    run "$new/bin/fer-edge" models fetch mediapipe --folder /var/lib/fer-edge/mediapipe ||
        say "MediaPipe's models were not downloaded, and haar needs none. Later: sudo fer-edge models fetch mediapipe"
}

keep_unit() { # of an old version that did not bring its own, to be able to go back
    if [ -n "$old" ] && [ -e "$UNIT" ] && [ ! -e "$old/systemd/fer-edge.service" ]; then
        run install -m 644 -D -t "$old/systemd" "$UNIT"
    fi
    run rm -f "$UNIT.d/backoff.conf" # what it had in place of pause.sh
}

switch_to() { # the folder of a version
    run ln -sfn "$1" "$PREFIX/next"
    run mv -T "$PREFIX/next" "$PREFIX/current"
    run ln -sfn "$PREFIX/current/bin/fer-edge" "$COMMAND"
    run install -m 644 "$1/systemd/fer-edge.service" "$UNIT"
    run systemctl enable --quiet fer-edge
}

start() { # and wait until the service is ready
    [ -d /run/systemd/system ] || return 0 # systemd does not run: an image is being prepared
    run systemctl daemon-reload && run systemctl restart fer-edge
}

go_back() {
    [ -n "$old" ] || fail "it does not start. Why: fer-edge service status"
    local now="The old version is back and runs"
    switch_to "$old"
    start || now="The old version is back, and does not start either"
    rm -rf "$new"
    fail "the new version does not start. $now. Why: journalctl -u fer-edge"
}

remove() {
    if [ -e "$UNIT" ]; then
        if [ -d /run/systemd/system ]; then run systemctl stop fer-edge; fi
        run systemctl disable --quiet fer-edge
    fi
    run rm -f "$UNIT" "$UNIT.d/backoff.conf" "$SYSUSERS" "$COMMAND"
    run rm -rf "$PREFIX"
    if [ -d /run/systemd/system ]; then run systemctl daemon-reload; fi
    say "removed. Kept: ${CONFIG%/*}, /var/lib/fer-edge, drop-ins of your own in $UNIT.d and the user fer-edge"
}

run() {
    if $dry_run; then
        printf '+ %s\n' "$*"
    else
        "$@"
    fi
}

run_into() { # a file, the output of a command
    local file=$1
    shift
    if $dry_run; then
        printf '+ %s > %s\n' "$*" "$file"
    else
        "$@" >"$file"
    fi
}

say() { if ! $dry_run; then echo "fer-edge: $*"; fi; }

fail() {
    echo "error: $*" >&2
    exit 2
}

main "$@"
