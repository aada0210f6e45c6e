#!/usr/bin/env bash
# Install fer-edge from this checkout as a service that starts at boot: Raspberry Pi OS and Debian, Bookworm or Trixie.
#
#     sudo systemd/install.sh [--instance NAME] [--allow-network] [--extras mqtt,display] [--wheelhouse DIR] [--no-fetch]
#     sudo systemd/install.sh --root root.json
#     sudo systemd/install.sh --rollback
#     sudo systemd/install.sh --uninstall [--instance NAME]
#
# Run it again to upgrade. The new version is installed beside the old one. It replaces the old one only if it can read
# the configurations in /etc/fer-edge, which are never changed, and open the model. If a service is not ready with the
# new version within three minutes, the old one is restored.
# --instance NAME adds fer-edge@NAME for another camera, with /etc/fer-edge/NAME.toml.
# --allow-network lets the service reach other machines: a network camera, an MQTT broker (examples/network.conf).
# --extras adds optional packages. mqtt is always included, and an upgrade keeps the earlier ones.
# --wheelhouse DIR installs without a network, from a folder that wheelhouse.sh filled.
# --no-fetch omits MediaPipe's models (2 MB, for --detector mediapipe).
# --root FILE trusts the keys in a repository's root.json, and looks there for model updates four times per day; it comes
# from whoever signs the models, who also tells its fingerprint. Set updates.url in the configuration.
# --rollback restores the version before the last upgrade.
# --uninstall keeps the configuration and the recorded data; with --instance it removes only that instance.
# --dry-run, with any of these, prints the steps without taking them.
set -euo pipefail

HERE=$(cd "$(dirname "$0")" && pwd)
PROJECT=$(dirname "$HERE")
PREFIX=/opt/fer-edge
CONFIGS=/etc/fer-edge
STATE=/var/lib/fer-edge
UPDATES=/var/lib/fer-edge-update
UNITS=/etc/systemd/system
SYSUSERS=/etc/sysusers.d/fer-edge.conf
COMMAND=/usr/local/bin/fer-edge

main() {
    dry_run=false task=install fetch=true allow_network=false instance='' wheelhouse='' root=''
    extras=$(cat "$PREFIX/current/extras" 2>/dev/null || echo mqtt)
    local added
    while [ $# -gt 0 ]; do
        case $1 in
            --dry-run) dry_run=true ;;
            --uninstall) task=uninstall ;;
            --rollback) task=rollback ;;
            --no-fetch) fetch=false ;;
            --allow-network) allow_network=true ;;
            --instance)
                instance=${2:-}
                is_instance "$instance" || fail "--instance needs a name of a-z, 0-9, - and _ such as door, and" \
                    "none of config, default, mediapipe, models, trials, web; not '$instance'"
                shift
                ;;
            --wheelhouse)
                wheelhouse=$(cd "${2:-}" 2>/dev/null && pwd) || fail "--wheelhouse needs a folder, not '${2:-}'"
                compgen -G "$wheelhouse/fer_edge-*.whl" >/dev/null ||
                    fail "--wheelhouse $wheelhouse: has no fer_edge-*.whl. Make it with systemd/wheelhouse.sh"
                shift
                ;;
            --extras)
                added=$(tr -d '[:space:]' <<<"${2:-}")
                [[ $added =~ ^[a-z0-9][a-z0-9,-]*$ ]] || fail "--extras needs a list such as mqtt,display, not '${2:-}'"
                add_extras "$added"
                shift
                ;;
            --root)
                root=${2:-}
                grep -qs '"_type": *"root"' "$root" || fail "--root needs a repository's root.json, not '$root'"
                shift
                ;;
            -h | --help) sed -n '2,/^set/{/^set/d;s/^# \?//p}' "$0"; exit ;;
            *)
                fail "unknown option $1. Known: --instance NAME, --allow-network, --extras LIST, --wheelhouse DIR, --root FILE," \
                    "--no-fetch, --rollback, --uninstall, --dry-run, --help"
                ;;
        esac
        shift
    done
    [ -z "$root" ] || add_extras updates
    unit=fer-edge config=$CONFIGS/config.toml state=$STATE
    [ -z "$instance" ] || unit=fer-edge@$instance config=$CONFIGS/$instance.toml state=$STATE/$instance
    $dry_run || [ "$(id -u)" = 0 ] || fail "must run as root: sudo $0. To see what it would do: $0 --dry-run"
    command -v apt-get >/dev/null || fail "there is no apt-get: this is for Raspberry Pi OS and Debian"
    case $task in
        install) install_all ;;
        rollback) roll_back ;;
        uninstall) if [ -n "$instance" ]; then remove_instance; else remove; fi ;;
    esac
}

add_extras() { # a list, to those that are there
    extras=$(tr , '\n' <<<"$extras,$1" | awk 'NF && !seen[$0]++' | paste -sd ,)
}

is_instance() { # edge/fer_edge/device/unit.py has the same rule
    [[ $1 =~ ^[a-z0-9][a-z0-9_-]*$ ]] && [[ ! $1 =~ ^(config|default|mediapipe|models|trials|web)$ ]]
}

install_all() {
    install_packages
    run install -m 644 "$HERE/sysusers.conf" -D "$SYSUSERS"
    run systemd-sysusers "$SYSUSERS"
    run install -d -m 750 -o fer-edge -g fer-edge "$STATE"
    run install -d -m 750 -o fer-edge-update -g fer-edge "$UPDATES"
    if [ "$state" != "$STATE" ]; then make_folder fer-edge 750 "$state"; fi
    make_folder fer-edge 750 "$STATE/trials"
    make_folder fer-edge-update 750 "$STATE/models"
    make_folder fer-edge-update 770 "$UPDATES/requests"
    install_program
    configure
    trust_root
    check "$new" "$unit"
    local other
    for other in $(enabled_units); do [ "$other" = "$unit" ] || check "$new" "$other"; done
    fetch_models
    keep_unit
    trap '' HUP INT TERM # a terminal that closes now must not leave a version that does not start
    switch_to "$new"
    run systemctl enable --quiet "$unit"
    if [ -n "$root" ]; then run systemctl enable --quiet fer-edge-update.timer fer-edge-update.path; fi
    start || go_back
    forget_older
    say "installed. How it does: fer-edge service status"
}

make_folder() { # OWNER MODE FOLDER, in another user's folder: who may have put a link there, which these do not follow
    if [ ! -e "$3" ] && [ ! -L "$3" ]; then run mkdir -m "$2" "$3"; fi
    run chown --no-dereference "$1:fer-edge" "$3"
}

install_packages() {
    local packages=(python3-venv libgl1 libglib2.0-0) missing=() package
    if has_picamera2; then packages+=(python3-picamera2); fi
    # SDL loads these where there is no desktop.
    case ,$extras, in *,display,*) packages+=(libegl1 libgbm1 libgles2) ;; esac
    for package in "${packages[@]}"; do is_installed "$package" || missing+=("$package"); done
    [ ${#missing[@]} -gt 0 ] || return 0
    export DEBIAN_FRONTEND=noninteractive
    say "installing Debian's packages: ${missing[*]}"
    run apt-get install -qq -y --no-install-recommends "${missing[@]}" && return
    [ -z "$wheelhouse" ] || fail "Debian's packages ${missing[*]} are missing, and there is no network to get them from"
    run apt-get update -qq
    run apt-get install -qq -y --no-install-recommends "${missing[@]}"
}

is_installed() { # Trixie's libglib2.0-0t64 stands for libglib2.0-0
    local states
    states=$(dpkg-query --show --showformat='${db:Status-Status}\n' "$1" "$1t64" 2>/dev/null) || true
    grep -qx installed <<<"$states"
}

has_picamera2() { # Raspberry Pi OS has it as a package; so has nobody else that this is for
    apt-cache show python3-picamera2 >/dev/null 2>&1
}

install_program() {
    local environment=() numpy=() what=("${PROJECT}[$extras]")
    old=$(readlink "$PREFIX/current" 2>/dev/null || true)
    previous=$(readlink "$PREFIX/previous" 2>/dev/null || true)
    for new in "$PREFIX"/{a,b,c}; do [ "$new" = "$old" ] || [ "$new" = "$previous" ] || break; done
    if has_picamera2; then
        environment=(--system-site-packages)
        # Bookworm's picamera2 was built for numpy 1, and cannot be used beside numpy 2.
        python3 -c 'import numpy, sys; sys.exit(numpy.__version__ >= "2")' 2>/dev/null && numpy=('numpy<2')
    fi
    if [ -n "$wheelhouse" ]; then
        export PIP_NO_INDEX=1 PIP_FIND_LINKS=$wheelhouse
        local wheels=("$wheelhouse"/fer_edge-*.whl)
        what=("${wheels[-1]}[$extras]")
    fi
    say "installing the program with $extras; this takes some minutes on a Raspberry Pi"
    run rm -rf "$new"
    run python3 -m venv ${environment[@]+"${environment[@]}"} "$new"
    if ! run "$new/bin/pip" install --quiet --disable-pip-version-check "${what[@]}" ${numpy[@]+"${numpy[@]}"}; then
        rm -rf "$new"
        fail "pip cannot install the program (why: above). ${old:+The old version goes on. }Fix that and run this again"
    fi
    $dry_run || echo "$extras" >"$new/extras"
    run install -m 644 -D -t "$new/systemd" "$HERE/fer-edge.service" "$HERE/fer-edge@.service" \
        "$HERE"/fer-edge-update.{service,timer,path}
    run install -m 755 -t "$new/systemd" "$HERE/pause.sh"
}

configure() { # every key, commented; those that a service needs set
    if $allow_network; then run install -m 644 -D -t "$UNITS/$unit.service.d" "$HERE/examples/network.conf"; fi
    [ ! -e "$config" ] || return 0
    run install -m 640 -g fer-edge -D /dev/null "$config"
    run_into "$config" "$new/bin/fer-edge" config --default --config "$HERE/config.toml"
    if [ "$state" != "$STATE" ]; then run sed -i "s#\"$STATE/#\"$state/#" "$config"; fi
}

trust_root() { # and show its fingerprint, to compare it with the one that the signer tells
    [ -n "$root" ] || return 0
    run install -m 644 -D "$root" "$CONFIGS/root.json"
    say "the models of this root file are trusted. Its fingerprint:" \
        "$(sha256sum "$root" | cut -c -64 | sed 's/..../& /g; s/ $//')"
}

check() { # FOLDER UNIT: whether a version can run with the configuration of a unit
    local version=$1 name='' file=fer-edge.service code=0
    case $2 in fer-edge@*) name=${2#fer-edge@} file=fer-edge@.service ;; esac
    local how=(--unit "$version/systemd/$file" ${name:+--instance "$name"})
    # A version that brings no template knows no more than this.
    if ! $dry_run && [ ! -e "$version/systemd/fer-edge@.service" ]; then how=(--config "$CONFIGS/config.toml"); fi
    run "$version/bin/fer-edge" service check "${how[@]}" || code=$?
    case $code in
        0) ;;
        1) say "$2: see above; it is installed all the same" ;;
        *)
            [ "$version" = "$previous" ] || rm -rf "$version"
            fail "this version does not start with ${name:-config}.toml in $CONFIGS (why: above)." \
                "${old:+The version that runs goes on. }Fix that and run this again; a package that is missing comes by --extras"
            ;;
    esac
}

fetch_models() { # for the detector that finds more faces; the service goes on without
    $fetch || return 0
    run "$new/bin/fer-edge" models fetch mediapipe --folder "$STATE/mediapipe" ||
        say "MediaPipe's models were not downloaded, and haar needs none. Later: sudo fer-edge models fetch mediapipe"
}

keep_unit() { # of an old version that did not bring its own, to be able to go back
    if [ -n "$old" ] && [ -e "$UNITS/fer-edge.service" ] && [ ! -e "$old/systemd/fer-edge.service" ]; then
        run install -m 644 -D -t "$old/systemd" "$UNITS/fer-edge.service"
    fi
    run rm -f "$UNITS/fer-edge.service.d/backoff.conf" # what it had in place of pause.sh
}

switch_to() { # the folder of a version
    local file
    run ln -sfn "$1" "$PREFIX/next"
    run mv -T "$PREFIX/next" "$PREFIX/current"
    run ln -sfn "$PREFIX/current/bin/fer-edge" "$COMMAND"
    for file in fer-edge.service fer-edge@.service fer-edge-update.{service,timer,path}; do
        if $dry_run || [ -e "$1/systemd/$file" ]; then run install -m 644 "$1/systemd/$file" "$UNITS/$file"; fi
    done
}

enabled_units() { # without .service; also where systemd does not run
    local link
    for link in "$UNITS"/multi-user.target.wants/fer-edge{,@*}.service; do
        if [ -L "$link" ]; then basename "$link" .service; fi
    done
}

start() { # all of them, and wait until they are ready
    [ -d /run/systemd/system ] || return 0 # systemd does not run: an image is being prepared
    local units
    mapfile -t units < <(enabled_units)
    run systemctl daemon-reload && run systemctl restart "${units[@]}" || return
    if [ -L "$UNITS/timers.target.wants/fer-edge-update.timer" ]; then
        run systemctl start fer-edge-update.timer fer-edge-update.path
    fi
}

go_back() {
    [ -n "$old" ] || fail "it does not start. Why: fer-edge service status"
    local now="The old version is back and runs"
    switch_to "$old"
    start || now="The old version is back, and does not start either"
    [ "$new" = "$previous" ] || rm -rf "$new"
    fail "the new version does not start. $now. Why: journalctl -u 'fer-edge*'"
}

forget_older() { # the old version stays for --rollback, the one before it goes
    [ -n "$old" ] || return 0
    run ln -sfn "$old" "$PREFIX/previous"
    if [ -n "$previous" ] && [ "$previous" != "$new" ]; then run rm -rf "$previous"; fi
}

roll_back() {
    old=$(readlink "$PREFIX/current" 2>/dev/null || true)
    previous=$(readlink "$PREFIX/previous" 2>/dev/null || true)
    [ -n "$previous" ] || fail "there is no previous version"
    new=$previous
    local other
    for other in $(enabled_units); do
        case $other in fer-edge@*) [ -e "$new/systemd/fer-edge@.service" ] || fail "the previous version knows no instances" ;; esac
        check "$new" "$other"
    done
    trap '' HUP INT TERM
    switch_to "$new"
    start || go_back
    run ln -sfn "$old" "$PREFIX/previous"
    say "the previous version is back. The other one: $0 --rollback"
}

remove() {
    local name
    for name in $(enabled_units); do stop_for_good "$name"; done
    if [ -e "$UNITS/fer-edge-update.timer" ]; then stop_for_good fer-edge-update.timer; fi
    if [ -e "$UNITS/fer-edge-update.path" ]; then stop_for_good fer-edge-update.path; fi
    run rm -f "$UNITS/fer-edge.service" "$UNITS/fer-edge@.service" "$UNITS"/fer-edge-update.{service,timer,path} "$UNITS/fer-edge.service.d/backoff.conf"
    run rm -f "$SYSUSERS" "$COMMAND"
    run rm -rf "$PREFIX"
    if [ -d /run/systemd/system ]; then run systemctl daemon-reload; fi
    say "removed. Kept: $CONFIGS, $STATE, $UPDATES, drop-ins in $UNITS/fer-edge*.d and the users fer-edge, fer-edge-update"
}

remove_instance() {
    stop_for_good "$unit"
    say "$unit is removed. Kept: $config, $state and drop-ins in $UNITS/$unit.service.d"
}

stop_for_good() { # UNIT
    if [ -d /run/systemd/system ]; then run systemctl stop "$1"; fi
    run systemctl disable --quiet "$1"
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
