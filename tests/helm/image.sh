#!/bin/bash
# Build the image from the Dockerfile with buildah (base: a Debian 13 root made here by mmdebstrap) and carry a task out with it:
# API and runner from the image, read-only, as uid 1000 without capabilities, the runner under the shipped seccomp profile, as
# compose.yaml starts them, but by crun, over a Redis with TLS. A model is not needed: recorded answers play it. Takes minutes and half a gigabyte, so it
# runs only with PJ_TEST_IMAGE=1. PJ_IMAGE_DIR: where base and layers are kept for the next run.
set -euo pipefail
src=${PJ_TEST_SRC:?}
skip() { echo "skipped: $*"; exit 77; }
[ "${PJ_TEST_IMAGE:-}" = 1 ] || skip "set PJ_TEST_IMAGE=1 to build and run the image (minutes, 500 MB)"
[ "$(id -u)" = 0 ] || skip "needs root"
for tool in buildah crun git mmdebstrap openssl python3 redis-server; do command -v $tool >/dev/null || skip "$tool is not installed"; done

work=$(mktemp -d)
keep=${PJ_IMAGE_DIR:-$work}
pids=()
container=
storage=(--root "$keep/root" --runroot "$keep/run")
leave() {
    local id
    for id in runner api; do crun --root "$work/crun" delete --force $id 2>/dev/null || true; done
    [ ${#pids[@]} = 0 ] || kill "${pids[@]}" 2>/dev/null || true
    wait
    if [ -n "$container" ]; then
        buildah "${storage[@]}" umount "$container" >/dev/null || true
        buildah "${storage[@]}" rm "$container" >/dev/null || true
    fi
    umount "$keep/root/overlay" 2>/dev/null || true
    rm -rf "$work"
}
trap leave EXIT
trap 'echo "line $LINENO: $BASH_COMMAND"' ERR

"$src/tests/helm/image_build.sh" "$keep"
container=$(buildah "${storage[@]}" from localhost/pithy-jaunt)
root=$(buildah "${storage[@]}" mount "$container")
echo "built: $(du -sm "$root" | cut -f1) MB"

# A Redis, a remote with the sample project, the settings.
mkdir -m 0755 "$work/srv" "$work/state" "$work/certs"
sample=$src/api/cli/sample
"$src/tests/support/sample_remote.sh" "$sample" "$work/srv" /srv
chown -R 1000:1000 "$work/srv" "$work/state"
"$src/tests/support/certs.sh" "$work/certs"
cp "$work/certs/ca.crt" "$work/srv/"
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
redis-server --port 0 --bind 127.0.0.1 --tls-port "$port" --tls-cert-file "$work/certs/server.crt" --tls-key-file "$work/certs/server.key" \
    --tls-ca-cert-file "$work/certs/ca.crt" --tls-auth-clients no --unixsocket "$work/srv/redis.sock" --unixsocketperm 777 --maxmemory-policy noeviction --appendonly yes \
    --dir "$work" --daemonize no >"$work/redis.log" &
pids+=($!)
token=$(openssl rand -hex 24)
cat >"$work/env" <<E2
PJ_REDIS_URL=rediss://127.0.0.1:$port/0
PJ_REDIS_CA_FILE=/srv/ca.crt
PJ_LISTEN=unix:/srv/api.sock
PJ_SECRET_KEY=$(openssl rand -base64 32)
PJ_BOOTSTRAP_TOKEN=$token
PJ_FORGES=/srv/forges.json
E2
cat >"$work/env.runner" <<E2
MODEL_PROVIDER=replay
PJ_REPLAY_FILE=/srv/replay.json
E2

# start NAME PROFILE ENV-FILE…: a program of the image as a container of compose.yaml.
start() {
    local name=$1 profile=$2
    shift 2
    mkdir "$work/$name"
    python3 - "$root" "$work" "$name" "$profile" "$@" >"$work/$name/config.json" <<'PY'
import json, sys
root, work, name, profile, *files = sys.argv[1:]
env = ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]
env += [line for path in files for line in open(path).read().splitlines()]
def mount(at, kind, source=None, *options): return {"destination": at, "type": kind, "source": source or kind, "options": list(options)}
linux = {"namespaces": [{"type": t} for t in ("pid", "ipc", "uts", "mount")]}
if profile: linux["seccomp"] = json.load(open(profile))
json.dump({
    "ociVersion": "1.0.2", "hostname": name, "root": {"path": root, "readonly": True}, "linux": linux,
    "process": {"terminal": False, "user": {"uid": 1000, "gid": 1000}, "args": ["pj-" + name], "env": env, "cwd": "/",
                "capabilities": {}, "noNewPrivileges": True},
    "mounts": [mount("/proc", "proc"), mount("/dev", "tmpfs", None, "nosuid", "mode=755"), mount("/tmp", "tmpfs", None, "mode=1777"),
               mount("/dev/pts", "devpts", None, "newinstance", "ptmxmode=0666", "mode=0620"),
               mount("/run", "tmpfs", None, "mode=1777"), mount("/srv", "bind", work + "/srv", "bind", "rw"),
               mount("/var/lib/pithyjaunt", "bind", work + "/state", "bind", "rw")]}, sys.stdout)
PY
    unshare --mount sh -c 'mount --make-rprivate /
        for m in $(grep " cgroup2 " /proc/mounts | cut -d" " -f2); do umount -l "$m"; done
        cd "$1" && exec crun --root "$2" --cgroup-manager=disabled run "$3"' sh "$work/$name" "$work/crun" "$name" >"$work/$name.log" 2>&1 &
    pids+=($!)
}

# until_ready COMMAND…: at most 30 seconds.
until_ready() {
    local end=$((SECONDS + 30))
    until "$@" >/dev/null 2>&1; do
        if [ $SECONDS -ge $end ]; then echo "not ready: $*"; tail -5 "$work"/*.log; exit 1; fi
        read -r -t 0.2 <> <(:) || true
    done
}
until_ready test -S "$work/srv/redis.sock"
start api "" "$work/env"
until_ready curl -fsS --unix-socket "$work/srv/api.sock" http://localhost/readyz
start runner "$src/helm/files/runner-seccomp.json" "$work/env" "$work/env.runner"

call() { curl -sS --fail-with-body --unix-socket "$work/srv/api.sock" -H "Authorization: Bearer $token" -H 'Content-Type: application/json' "$@"; }
repository=$(call http://localhost/api/v1/repositories -d '{"url":"/srv/tally.git","checkCommand":"sh tests/run.sh","codeRabbit":"off"}' | python3 -c 'import json,sys; print(json.load(sys.stdin)["id"])')
task=$(python3 -c 'import json,sys; t=open(sys.argv[1]).read().split("\n", 2); print(json.dumps({"repositoryId":sys.argv[2],"title":t[0],"description":t[2],"execute":True}))' "$sample/task.md" "$repository" |
    call http://localhost/api/v1/tasks -d @- | python3 -c 'import json,sys; print(json.load(sys.stdin)["id"])')
# The stream ends when the task does.
call -N --max-time 120 "http://localhost/api/v1/tasks/$task/logs/stream" >"$work/stream"
status=$(call "http://localhost/api/v1/tasks/$task" | python3 -c 'import json,sys; print(json.load(sys.stdin)["status"])')
if [ "$status" != completed ]; then
    echo "the task ended as $status"; tail -30 "$work/stream" "$work"/*.log; exit 1
fi
[ "$(git -c safe.directory='*' --git-dir "$work/srv/tally.git" log -1 --format=%s "pj/$task")" = 'Pithy Jaunt: Add --top N to tally.sh' ]
echo "a task of the image ended as completed: branch pj/$task"

if command -v podman >/dev/null; then
    "$src/tests/helm/engine.sh" "$keep" localhost/pithy-jaunt
    "$src/tests/helm/compose.sh" "$keep" localhost/pithy-jaunt localhost/debian:13 "${PJ_HELM_TOOLS:-/nonexistent}/docker-compose"
else
    echo "[SKIP] image in podman's containers: podman is not installed"
fi
