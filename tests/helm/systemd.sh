#!/bin/bash
# The Debian package in a Debian 12 of its own under a real systemd: install, start both units with their hardening, carry a task out,
# stop in order, remove, purge, and nothing is left. The machine is a systemd-nspawn container made by mmdebstrap. Takes minutes and
# half a gigabyte, so it runs only with PJ_TEST_SYSTEMD=1. PJ_SYSTEMD_DIR: where the fresh system is kept for the next run.
set -euo pipefail
src=${PJ_TEST_SRC:?}
skip() { echo "skipped: $*"; exit 77; }
[ "${PJ_TEST_SYSTEMD:-}" = 1 ] || skip "set PJ_TEST_SYSTEMD=1 to install the package in a container with systemd (minutes, 500 MB)"
[ "$(id -u)" = 0 ] || skip "needs root"
for tool in cmake cpack git mmdebstrap ninja nsenter systemd-nspawn; do command -v $tool >/dev/null || skip "$tool is not installed"; done
. /etc/os-release
[ "$VERSION_CODENAME" = bookworm ] || skip "the package is built for this host's release, and the container is Debian 12"

work=$(mktemp -d)
keep=${PJ_SYSTEMD_DIR:-$work}
os=$work/os
machine=
leave() {
    [ -z "$machine" ] || kill "$machine" 2>/dev/null || true
    wait
    # Its control groups, leaves first: nothing is in them any more.
    mkdir "$work/cgroup" && mount -t cgroup2 none "$work/cgroup" && {
        find "$work/cgroup/pj-test-$$" -depth -type d -exec rmdir {} + 2>/dev/null || true
        umount "$work/cgroup"
    }
    umount -l "$os" 2>/dev/null || true
    rm -rf "$work"
}
trap leave EXIT
trap 'echo "line $LINENO: $BASH_COMMAND"' ERR

# The package.
(
    cmake -S "$src" -B "$work/build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DBUILD_TESTING=OFF -DCMAKE_INSTALL_PREFIX=/usr &&
        nice cmake --build "$work/build" && cd "$work/build" && cpack -G DEB
) >"$work/build.log" 2>&1 || { tail -20 "$work/build.log"; exit 1; }

if command -v lintian >/dev/null; then
    lintian --allow-root --fail-on error,warning "$work"/build/pithyjaunt_*.deb
else
    echo "[SKIP] lintian is not installed"
fi

# The system, once.
mkdir -p "$keep"
[ -f "$keep/bookworm.tar" ] || mmdebstrap --quiet --variant=minbase \
    --include=systemd,systemd-sysv,dbus,procps,redis-server,ca-certificates,git,libcurl4,libevent-core-2.1-7,libgit2-1.5,libhiredis0.14,libjansson4,libssl3,zlib1g \
    bookworm "$keep/bookworm.tar"
mkdir "$os"
tar -C "$os" -xf "$keep/bookworm.tar"
cp "$work"/build/pithyjaunt_*.deb "$os/root/"
find "$os" -path "$os/proc" -prune -o -print | sed "s|^$os||" | sort >"$work/before"
chroot "$os" sh -c 'dpkg -i /root/pithyjaunt_*.deb' >"$work/install.log" 2>&1 || { cat "$work/install.log"; exit 1; }
grep -q '^PJ_SECRET_KEY=.' "$os/etc/pithyjaunt/api.conf"
[ "$(grep PJ_SECRET_KEY= "$os/etc/pithyjaunt/api.conf")" = "$(grep PJ_SECRET_KEY= "$os/etc/pithyjaunt/runner.conf")" ]
[ "$(stat -c %a "$os/etc/pithyjaunt/api.conf")" = 600 ]
chroot "$os" systemd-analyze verify --man=no /lib/systemd/system/pj-api.service /lib/systemd/system/pj-runner.service

# A remote with the sample project; recorded answers play the model.
mkdir -p "$os/srv/repos" "$os/etc/systemd/system/pj-runner.service.d"
"$src/tests/support/sample_remote.sh" "$src/api/cli/sample" "$os/srv/repos" /srv/repos
mv "$os/srv/repos/forges.json" "$os/srv/repos/replay.json" "$os/etc/pithyjaunt/"
printf '[Service]\nReadWritePaths=/srv/repos\n' >"$os/etc/systemd/system/pj-runner.service.d/remotes.conf"
chroot "$os" sh -c 'chown -R pithyjaunt: /srv/repos && chgrp pithyjaunt /etc/pithyjaunt/*.json && chmod 0640 /etc/pithyjaunt/*.json'
printf 'PJ_FORGES=/etc/pithyjaunt/forges.json\n' >>"$os/etc/pithyjaunt/api.conf"
printf 'MODEL_PROVIDER=replay\nPJ_REPLAY_FILE=/etc/pithyjaunt/replay.json\nPJ_FORGES=/etc/pithyjaunt/forges.json\n' >>"$os/etc/pithyjaunt/runner.conf"
chroot "$os" systemctl --quiet enable redis-server pj-api pj-runner 2>/dev/null

# Boot it: control groups of version 2 only, no network but its own.
unshare --mount sh -c 'mount --make-rprivate / && umount -l /sys/fs/cgroup 2>/dev/null; mount -t cgroup2 none /sys/fs/cgroup &&
    mkdir -p /sys/fs/cgroup/pj-test-$2 && echo $$ >/sys/fs/cgroup/pj-test-$2/cgroup.procs &&
    exec systemd-nspawn -D "$1" --boot --console=pipe --register=no --keep-unit --private-network --link-journal=no' sh "$os" $$ \
    </dev/null >"$work/boot.log" 2>&1 &
machine=$!
inside() { nsenter -t "$init" -m -p -u -i -n -C -r -w env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root "$@"; }
# until_true COMMAND…: at most a minute.
until_true() {
    local end=$((SECONDS + 60))
    until "$@" >/dev/null 2>&1; do
        if [ $SECONDS -ge $end ]; then echo "not so: $*"; tail -5 "$work/boot.log"; exit 1; fi
        read -r -t 0.2 <> <(:) || true
    done
}
booted() { init=$(pgrep -P "$(pgrep -P "$machine" -x systemd-nspawn || echo "$machine")" -x systemd | head -1) && [ -n "$init" ]; }
until_true booted
until_true inside systemctl is-active --quiet pj-api pj-runner
echo "units: $(inside systemctl is-active pj-api pj-runner | tr '\n' ' ')"

# As the README has it: a token over Redis, kept by pj login; a repository that pj run connects.
inside sh -c 'pj admin reset-token admin@localhost | pj login' >"$work/login.log" 2>&1 || { cat "$work/login.log"; exit 1; }
inside pj run /srv/repos/tally.git "Add --top N to tally.sh" --follow >"$work/run.log" 2>&1 ||
    { tail -20 "$work/run.log"; inside journalctl --no-pager -u pj-runner | tail -5; exit 1; }
inside pj doctor >"$work/doctor.log" 2>&1 || { cat "$work/doctor.log"; exit 1; }
for said in 'pj-api .*settings are right (/etc/pithyjaunt/api.conf)' 'pj-runner .*settings are right (/etc/pithyjaunt/runner.conf)' \
    'api .*knows your token' 'runners .*1 at work'; do
    grep -q "^ok *$said" "$work/doctor.log" || { echo "pj doctor does not say: $said"; cat "$work/doctor.log"; exit 1; }
done
git -c safe.directory='*' --git-dir "$os/srv/repos/tally.git" log --all --format=%s >"$work/commits"
grep -qx 'Pithy Jaunt: Add --top N to tally.sh' "$work/commits"
inside systemctl stop pj-runner pj-api
if inside systemctl --quiet is-failed pj-runner pj-api; then echo "a unit did not stop in order"; exit 1; fi

# Removed and purged: what is left is the user, as is the custom.
inside dpkg --purge pithyjaunt >"$work/purge.log" 2>&1 || { cat "$work/purge.log"; exit 1; }
find "$os" -path "$os/proc" -prune -o -print | sed "s|^$os||" | sort >"$work/after"
left=$(comm -13 "$work/before" "$work/after" | grep -E '(pj-|pithyjaunt|/pj$)' | grep -vE '^/(root|srv|proc|sys|run|tmp)/|^/etc/systemd/system/(multi-user.target.wants|pj-runner.service.d)|^/var/(log|lib/systemd|lib/private|tmp)' || true)
[ -z "$left" ] || { echo "left behind: $left"; exit 1; }
echo "package: installed, ran a task under systemd, stopped, purged"
