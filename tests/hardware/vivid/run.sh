#!/usr/bin/env bash
# The service on a V4L2 camera that is unplugged: Linux' own test camera (vivid) in an emulated machine.
#
#     sudo tests/hardware/vivid/run.sh FOLDER
#
# Makes a Debian in FOLDER (once; some 5 minutes, 6 GB), installs this checkout there by systemd/install.sh, boots it without
# virtualisation and runs scenario.py in it (6 to 15 minutes). Ends with 0 if all went as it should.
# Needs debootstrap, systemd-container, qemu-system-x86, e2fsprogs, and Python with pip (PYTHON=…, python3 if left out).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
project=$(cd "$here/../../.." && pwd)
folder=$(realpath -m "${1:?which folder? sudo $0 FOLDER}")
root=$folder/root

prepare() {
    mkdir -p "$folder"
    debootstrap --variant=minbase \
        --include=systemd,systemd-sysv,dbus,procps,udev,kmod,ca-certificates,python3-venv,libgl1,libglib2.0-0,v4l-utils \
        bookworm "$root"
    # The kernel, and an initial file system that knows the emulated disk alone: small, so that it is unpacked soon.
    chroot "$root" bash -euo pipefail <<'INSIDE'
export DEBIAN_FRONTEND=noninteractive
apt-get install -qq -y --no-install-recommends initramfs-tools
sed -i 's/^MODULES=.*/MODULES=list/' /etc/initramfs-tools/initramfs.conf
printf '%s\n' virtio_pci virtio_blk ext4 >>/etc/initramfs-tools/modules
apt-get install -qq -y --no-install-recommends linux-image-amd64
apt-get clean
INSIDE
    echo vivid >"$root/etc/modules-load.d/vivid.conf"
    echo "options vivid n_devs=1" >"$root/etc/modprobe.d/vivid.conf"
    touch "$folder/prepared"
}

install_service() {
    "${PYTHON:-python3}" -m pip download --quiet --only-binary=:all: --python-version 3.11 --dest "$folder/wheels" \
        "${project}[mqtt]" hatchling
    systemd-nspawn --quiet --directory="$root" --machine=fer-edge-vivid --register=no --keep-unit --console=pipe \
        --bind-ro="$project:/src" --bind-ro="$folder/wheels:/wheels" \
        --setenv=PIP_NO_INDEX=1 --setenv=PIP_FIND_LINKS=/wheels /src/systemd/install.sh </dev/null
    cp "$here/scenario.py" "$root/root/"
    cat >"$root/etc/systemd/system/scenario.service" <<'UNIT'
[Service]
ExecStart=/usr/bin/python3 -u /root/scenario.py
ExecStopPost=systemctl poweroff
StandardOutput=file:/dev/ttyS1
StandardError=file:/dev/ttyS1
[Install]
WantedBy=multi-user.target
UNIT
    ln -sf ../scenario.service "$root/etc/systemd/system/multi-user.target.wants/scenario.service"
}

boot() {
    rm -f "$folder/disk.img"
    mke2fs -q -t ext4 -d "$root" "$folder/disk.img" 4G
    # The clock counts instructions, a thousand millions a second, and skips idle time: what is measured inside does not
    # depend on the machine outside, nor on what else that does.
    timeout 7200 qemu-system-x86_64 -accel tcg,thread=single -icount shift=0,sleep=off -rtc clock=vm -cpu max -m 2000 \
        -display none -no-reboot -nic none -serial "file:$folder/boot.log" -serial stdio \
        -kernel "$root"/boot/vmlinuz-* -initrd "$root"/boot/initrd.img-* \
        -append "root=/dev/vda rw console=ttyS0 quiet systemd.show_status=0" \
        -drive "file=$folder/disk.img,format=raw,if=virtio" </dev/null | tr -d '\r' | tee "$folder/report"
    rm -f "$folder/disk.img"
    grep -q "^all went as it should" "$folder/report"
}

[ -e "$folder/prepared" ] || prepare
install_service
boot
