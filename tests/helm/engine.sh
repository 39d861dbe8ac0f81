#!/bin/bash
# The image in real containers of podman: in a default one `pj doctor` names the closed gate and the exact flag, and with that flag the box
# passes its probes. The same with what Docker's default container adds (its seccomp profile as it forbids name spaces; masked paths).
# usage: engine.sh STORAGE IMAGE, where buildah has the image below STORAGE. Called by image.sh.
set -euo pipefail
src=${PJ_TEST_SRC:?} storage=$1 image=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'echo "line $LINENO: $BASH_COMMAND"' ERR

# Where the host mixes both versions of control groups, as crun refuses it, podman sees version 2 alone. Limits: what this process has.
engine() {
    # shellcheck disable=SC2016 # the inner shell expands
    unshare --mount sh -c 'mount --make-rprivate /
        if grep -q " cgroup " /proc/mounts; then umount -l /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup; fi
        exec podman --root "$0/root" --runroot "$0/run" --cgroup-manager cgroupfs "$@"' "$storage" "$@"
}
run() {
    engine run --rm --cgroups=disabled --no-healthcheck --network=none --ulimit "nofile=$(ulimit -Hn):$(ulimit -Hn)" \
        --ulimit nproc=4096:4096 "$@"
}
# findings OPTION…: "level check detail | remedy" a line, of the box alone.
findings() {
    run "$@" "$image" pj doctor --json >"$work/doctor.json" || [ $? = 1 ]
    python3 -c 'import json, sys
for f in json.load(open(sys.argv[1])):
    if f["check"] == "box": print(f["level"], f["detail"], "|", f["remedy"])' "$work/doctor.json"
}
expect() {
    if ! grep -qF -- "$2" <<<"$1"; then printf 'not said: %s\n%s\n' "$2" "$1"; exit 1; fi
}

said=$(findings)
expect "$said" "wrong gate proc is closed"
expect "$said" "| podman run --security-opt unmask=ALL"
flag=$(sed -n 's/^wrong gate proc .*| podman run //p' <<<"$said")
# shellcheck disable=SC2086 # the flag is two words, as a shell gets it
expect "$(findings $flag)" "ok a box can be made here"
# shellcheck disable=SC2086
[ "$(run $flag "$image" pj sandbox -- sh -c 'echo in the box')" = "in the box" ]
echo "podman: named $flag, and with it a box runs"

said=$(findings --user root --security-opt unmask=ALL)
expect "$said" "wrong gate identity is closed"
expect "$said" "| podman run --user 1000"

# What Docker's default profile forbids a process without CAP_SYS_ADMIN (moby, profiles/seccomp/default.json): answered with EPERM,
# clone3 with ENOSYS; and podman's own marks of itself are taken away.
python3 - "$work/docker.json" <<'PY'
import json, sys
flags = [0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000]
forbidden = ["bpf", "fsconfig", "fsmount", "fsopen", "fspick", "mount", "mount_setattr", "move_mount", "open_tree", "pivot_root", "setns",
             "umount", "umount2", "unshare"]
rows = [{"names": forbidden, "action": "SCMP_ACT_ERRNO", "errnoRet": 1},
        {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38}]
rows += [{"names": ["clone"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1, "args": [
    {"index": 0, "value": flag, "valueTwo": flag, "op": "SCMP_CMP_MASKED_EQ"}]} for flag in flags]
json.dump({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"], "syscalls": rows}, open(sys.argv[1], "w"))
PY
as_docker=(--volume "$work/empty:/.dockerenv:ro" --volume "$work/nothing:/run:ro")
: >"$work/empty"
mkdir "$work/nothing"
said=$(findings "${as_docker[@]}" --security-opt "seccomp=$work/docker.json")
expect "$said" "wrong gate user-namespaces is closed"
expect "$said" "| docker run --security-opt seccomp=runner-seccomp.json"
said=$(findings "${as_docker[@]}" --security-opt "seccomp=$src/helm/files/runner-seccomp.json")
expect "$said" "wrong gate proc is closed"
expect "$said" "| docker run --security-opt systempaths=unconfined"
# That flag's name at podman is unmask=ALL. All of the runner of compose.yaml:
expect "$(findings "${as_docker[@]}" --cap-drop ALL --security-opt no-new-privileges --security-opt unmask=ALL \
    --security-opt "seccomp=$src/helm/files/runner-seccomp.json")" "ok a box can be made here"
echo "Docker's defaults: named the profile and systempaths=unconfined, and with them a box runs"
