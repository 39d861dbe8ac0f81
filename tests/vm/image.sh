#!/bin/bash
# The disk of the test's virtual machine: a Debian with its own kernel, systemd, AppArmor, Redis and Docker, and nothing of ours. Made once by
# mmdebstrap and kept; it is never written to afterwards (the machine runs on a layer that is thrown away).
# usage: image.sh SUITE FOLDER: FOLDER/SUITE.ext4, .vmlinuz, .initrd. Needs root, mmdebstrap and e2fsprogs.
set -euo pipefail
suite=$1 keep=$2
case $suite in
bookworm) own=libcurl4,libevent-core-2.1-7,libgit2-1.5,libhiredis0.14,libjansson4,libseccomp2,libssl3,zlib1g ;;
trixie) own=libcurl4t64,libevent-core-2.1-7t64,libgit2-1.9,libhiredis1.1.0,libjansson4,libseccomp2,libssl3t64,zlib1g,docker-cli ;;
*) echo "no such suite here: $suite"; exit 2 ;;
esac
packages=apparmor,ca-certificates,curl,dbus,dbus-user-session,docker.io,docker-compose,git,initramfs-tools,iproute2,iptables,kmod,libcriterion3,libpam-systemd,linux-image-cloud-amd64,nftables,openssl,procps,python3,redis-server,systemd,systemd-sysv,udev,$own
mkdir -p "$keep"
sum=$({ printf '%s\n' "$packages"; cat "$0"; } | sha256sum | cut -d' ' -f1)
[ "$(cat "$keep/$suite.sum" 2>/dev/null || true)" != "$sum" ] || exit 0
work=$(mktemp -d "$keep/make-XXXXXX")
trap 'rm -rf "$work"' EXIT
rm -f "$keep/$suite".*

# What the machine's first disk needs, instead of every driver there is.
cat >"$work/initramfs" <<'END'
MODULES=list
COMPRESS=gzip
END
printf 'virtio_pci\nvirtio_blk\next4\n' >"$work/modules"
cat >"$work/pj-vm.service" <<'END'
[Unit]
Description=The test that this machine was started for
After=network.target docker.service redis-server.service
[Service]
Type=oneshot
ExecStart=/bin/sh -c "mkdir -p /opt/pj && tar -C /opt/pj -xf /dev/vdb && exec /opt/pj/inside.sh"
ExecStopPost=systemctl --no-block poweroff
StandardOutput=journal+console
Delegate=yes
[Install]
WantedBy=multi-user.target
END
# shellcheck disable=SC2016 # mmdebstrap's shell expands
nice mmdebstrap --quiet --variant=minbase --include="$packages" \
    --essential-hook='mkdir -p "$1/etc/initramfs-tools/conf.d" "$1/usr/share/initramfs-tools/modules.d"' \
    --essential-hook="cp '$work/initramfs' \"\$1/etc/initramfs-tools/conf.d/pj\"; cp '$work/modules' \"\$1/usr/share/initramfs-tools/modules.d/pj\"" \
    --customize-hook="cp '$work/pj-vm.service' \"\$1/etc/systemd/system/\"" \
    --customize-hook='printf "/dev/vda / ext4 rw,relatime 0 1\n" >"$1/etc/fstab"; echo pj-vm >"$1/etc/hostname"; printf "127.0.0.1 localhost pj-vm\n" >"$1/etc/hosts"' \
    --customize-hook='chroot "$1" useradd --create-home --shell /bin/bash --uid 1000 tester; mkdir -p "$1/var/lib/systemd/linger"; : >"$1/var/lib/systemd/linger/tester"' \
    --customize-hook='chroot "$1" systemctl --quiet enable pj-vm.service; chroot "$1" systemctl --quiet mask apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer fstrim.timer getty@tty1.service serial-getty@ttyS0.service systemd-firstboot.service' \
    --customize-hook='rm -rf "$1"/var/cache/apt/* "$1"/var/lib/apt/lists/* "$1"/usr/share/doc/* "$1"/usr/share/man/* "$1"/usr/share/locale/*' \
    "$suite" "$work/root"
cp "$work"/root/boot/vmlinuz-* "$keep/$suite.vmlinuz"
cp "$work"/root/boot/initrd.img-* "$keep/$suite.initrd"
mke2fs -q -F -t ext4 -d "$work/root" "$keep/$suite.ext4" 4G >&2
printf '%s\n' "$sum" >"$keep/$suite.sum"
