#!/usr/bin/env bash
# The service with a real V4L2 camera: Debian in an emulated machine, with the kernel's virtual camera (vivid), which
# comes after the boot, is unplugged, comes back, and is wanted by two.
#
#     sudo apt install debootstrap e2fsprogs qemu-system-x86 systemd-container
#     sudo tests/hardware/vivid.sh FOLDER
#
# Prepares FOLDER once (2 GB, a few minutes; a root that is there is used), then runs for one to five minutes. No KVM
# is needed. PIP_FIND_LINKS may name a folder of wheels. The last line says `passed` or what failed.
set -euo pipefail

folder=${1:?usage: vivid.sh FOLDER}
project=$(cd "$(dirname "$0")/../.." && pwd)
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
root=$folder/root

inside() {
    local binds=("--bind-ro=$project:/src")
    if [ -d "${PIP_FIND_LINKS:-}" ]; then
        binds+=("--bind-ro=$PIP_FIND_LINKS:/wheels" --setenv=PIP_FIND_LINKS=/wheels --setenv=PIP_NO_INDEX=1)
    fi
    systemd-nspawn --quiet --register=no --keep-unit --console=pipe "--directory=$root" "${binds[@]}" "$@" </dev/null
}

[ -d "$root/etc" ] || debootstrap --variant=minbase \
    --include=systemd,systemd-sysv,dbus,procps,udev,kmod,ca-certificates,python3 bookworm "$root"
inside env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends \
    linux-image-amd64 initramfs-tools v4l-utils
inside /src/systemd/install.sh
install -m 755 "$project/tests/hardware/vivid_inside.sh" "$root/usr/local/sbin/vivid_inside"
cat >"$root/etc/systemd/system/vivid-test.service" <<END
[Unit]
After=multi-user.target
[Service]
Type=oneshot
ExecStart=/usr/local/sbin/vivid_inside
ExecStopPost=/bin/systemctl poweroff --no-block
StandardOutput=tty
TTYPath=/dev/ttyS0
[Install]
WantedBy=graphical.target multi-user.target
END
inside systemctl enable --quiet vivid-test
rm -f "$folder/disk"
mke2fs -q -F -t ext4 -d "$root" "$folder/disk" 3G
timeout 900 qemu-system-x86_64 -accel tcg,thread=multi -m 2000 -smp 2 -nographic -no-reboot \
    -kernel "$(ls "$root"/boot/vmlinuz-*)" -initrd "$(ls "$root"/boot/initrd.img-*)" \
    -append "root=/dev/vda rw console=ttyS0 quiet systemd.show_status=0" \
    -drive "file=$folder/disk,format=raw,if=virtio,snapshot=on" -device i6300esb -nic none -serial mon:stdio \
    | tee "$folder/console"
grep -q "^vivid: passed" "$folder/console"
