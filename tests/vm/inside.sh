#!/bin/bash
# In the machine, as root, started by its systemd: every part in turn. Each says "ok …", "not ok …" or "skip …" a line to the port that the
# host reads; the last line is "end".
set -uo pipefail
cd /opt/pj || exit 1
exec >/dev/virtio-ports/pj 2>&1
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8
# shellcheck source=tests/vm/checks.sh
. ./checks.sh
echo "# $(uname -r), $(. /etc/os-release && echo "$PRETTY_NAME"), $(systemctl --version | head -1)"
echo "# LSM $(cat /sys/kernel/security/lsm); $(apparmor_parser --version | head -1)"
holds "control groups of version 2 alone" [ "$(stat -f -c %T /sys/fs/cgroup)" = cgroup2fs ]
holds "AppArmor is on" [ "$(cat /sys/module/apparmor/parameters/enabled)" = Y ]
holds "the package installs" dpkg -i ./pithyjaunt.deb
read -ra words <parts
for part in "${words[@]}"; do
    echo "# $part ($SECONDS s)"
    # shellcheck source=/dev/null
    (. "./$part.sh") </dev/null
done
holds "the package is purged" dpkg --purge pithyjaunt
echo "# $SECONDS s"
echo end
