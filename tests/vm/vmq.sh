#!/bin/bash
# The package in a virtual machine: what a host without version 2 of control groups alone, AppArmor, Docker or systemd cannot show.
# usage: vm.sh SUITE PACKAGE TESTS [PART…]: PACKAGE is the .deb, TESTS a build folder with bin/ and tests/. Needs root, qemu and mmdebstrap.
# The machine has no network, two processors and 2 GB; PJ_VM_SECONDS (1800) bounds it. PJ_VM_DIR keeps its disk (below 1 GB) for the next run.
set -euo pipefail
suite=$1 package=$2 tests=$3
shift 3
parts=${*:-boxes units apparmor docker}
src=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
keep=${PJ_VM_DIR:-$src/build/vm}
[ "$(id -u)" = 0 ] || { echo "skipped: the machine's disk is made as root"; exit 77; }
for tool in qemu-system-x86_64 mmdebstrap mke2fs; do command -v $tool >/dev/null || { echo "skipped: $tool is not installed"; exit 77; }; done
"$src/tests/vm/image.sh" "$suite" "$keep" || { echo "skipped: no disk for $suite could be made - is there a package source?"; exit 77; }
work=$(mktemp -d "$keep/run-XXXXXX")
machine=
trap '[ -z "$machine" ] || kill $machine 2>/dev/null || true; rm -rf "$work"' EXIT

# What goes in: one archive, read from the second disk.
mkdir -p "$work/in/bin" "$work/in/tests"
cp "$src"/tests/vm/{inside,checks,boxes,units,apparmor,docker}.sh /tmp/pj/vm/quick.sh "$src/tests/support/sample_remote.sh" "$work/in/"
cp -r "$src/api/cli/sample" "$src/compose.yaml" "$src/.env.example" "$src/helm/files/runner-seccomp.json" "$work/in/"
cp "$package" "$work/in/pithyjaunt.deb"
cp "$tests/bin/pj-sandbox" "$work/in/bin/"
cp "$tests"/tests/{hostile,pj-sandbox-weak} "$tests"/tests/test_sandbox_* "$work/in/tests/"
[ ! -f "${PJ_VM_IMAGES:-/nonexistent}" ] || ln "$PJ_VM_IMAGES" "$work/in/images.tar" 2>/dev/null || cp "$PJ_VM_IMAGES" "$work/in/images.tar"
[ ! -f "${PJ_VM_COMPOSE:-/nonexistent}" ] || cp "$PJ_VM_COMPOSE" "$work/in/docker-compose"
echo "$parts" >"$work/in/parts"
tar -C "$work/in" -cf "$work/in.raw" .
truncate -s %512 "$work/in.raw"
rm -rf "$work/in"

kernel=(-kernel "$keep/$suite.vmlinuz" -m 2048 -nodefaults -display none -no-reboot -nic none)
# A /dev/kvm is no proof: what matters is that a kernel says something with it.
accel=(-accel "tcg,thread=multi" -cpu max)
{ timeout 10 qemu-system-x86_64 -accel kvm -cpu host "${kernel[@]}" -serial "file:$work/kvm.log" \
    -append "console=ttyS0 panic=-1 rdinit=/none" || true; } >"$work/kvm.err" 2>&1
if grep -qs 'Linux version' "$work/kvm.log"; then accel=(-accel kvm -cpu host); else echo "# no usable KVM here: the machine is emulated"; fi

: >"$work/out"
TMPDIR=$work timeout "${PJ_VM_SECONDS:-1800}" nice qemu-system-x86_64 -M q35 "${accel[@]}" -smp 2 "${kernel[@]}" -initrd "$keep/$suite.initrd" \
    -append "root=/dev/vda rw console=ttyS0 quiet panic=-1 no_timer_check apparmor=1 security=apparmor systemd.show_status=0" \
    -drive "file=$keep/$suite.ext4,if=none,id=root,format=raw,snapshot=on" -device virtio-blk-pci,drive=root \
    -drive "file=$work/in.raw,if=none,id=in,format=raw,readonly=on" -device virtio-blk-pci,drive=in \
    -device virtio-serial-pci -chardev "file,id=out,path=$work/out" -device virtserialport,chardev=out,name=pj \
    -device virtio-rng-pci -serial "file:$work/console" >"$work/qemu.log" 2>&1 &
machine=$!
tail -f --pid=$machine -n +1 "$work/out" & # what it says, as it says it
tell=$!
wait $machine || true
machine=
wait $tell || true
if ! grep -qx end "$work/out"; then
    echo "not ok the machine did not come to its end"
    tail -n 15 "$work/console" "$work/qemu.log"
    exit 1
fi
printf '%d held, %d did not, %d not to be had here\n' "$(grep -c '^ok ' "$work/out")" "$(grep -c '^not ok ' "$work/out")" "$(grep -c '^skip ' "$work/out")"
! grep -q '^not ok ' "$work/out"
