#!/bin/bash
# compose.yaml as it stands, by the real docker compose against podman: a task runs to its end, `pj doctor` in the runner's container finds
# a box. What podman 4 does not have from Docker stands in the override below, and nothing else.
# usage: compose.sh STORAGE IMAGE BASE DOCKER-COMPOSE. Called by image.sh.
set -euo pipefail
src=${PJ_TEST_SRC:?} storage=$1 image=$2 base=$3 compose=$4
[ -x "$compose" ] || { echo "[SKIP] compose.yaml in podman: docker compose is not to be had"; exit 0; }
[ -x /usr/lib/cni/bridge ] || [ -x /usr/lib/podman/netavark ] || { echo "[SKIP] compose.yaml in podman: it has no networks here"; exit 0; }
work=$(mktemp -d)
chmod 755 "$work"
service=
export DOCKER_HOST=unix://$work/podman.sock COMPOSE_PROJECT_NAME=pj-test-$$
leave() {
    if [ -n "$service" ]; then
        (cd "$work" && timeout 60 "$compose" down -v >/dev/null 2>&1) || true
        kill "$service" 2>/dev/null || true
        wait "$service" || true
    fi
    rm -rf "$work"
}
trap leave EXIT
trap 'echo "line $LINENO: $BASH_COMMAND"' ERR
limit=$(ulimit -Hn)
printf '[containers]\ndefault_ulimits = ["nofile=%s:%s", "nproc=4096:4096"]\ncgroups = "disabled"\n' "$limit" "$limit" >"$work/containers.conf"
export CONTAINERS_CONF=$work/containers.conf
flags=(--root "$storage/root" --runroot "$storage/run" --cgroup-manager cgroupfs)

"$src/tests/helm/redis_image.sh" "$storage" "$base"
buildah --root "$storage/root" --runroot "$storage/run" tag "$image" docker.io/library/pithy-jaunt:local

mkdir -p "$work/helm/files" "$work/srv"
cp "$src/compose.yaml" "$work/"
cp "$src/helm/files/runner-seccomp.json" "$work/helm/files/"
sed "s|^PJ_SECRET_KEY=.*|&$(head -c 32 /dev/urandom | base64)|; s|^PJ_BOOTSTRAP_TOKEN=.*|&$(head -c 24 /dev/urandom | base64)|
    s|^MODEL_PROVIDER=.*|MODEL_PROVIDER=replay|" "$src/.env.example" >"$work/.env"
"$src/tests/support/sample_remote.sh" "$src/api/cli/sample" "$work/srv" /srv
chown -R 1000:1000 "$work/srv"
# The sample's model and remote; an address instead of a name, which podman 4 does not resolve on such networks; its API takes no profile
# in place and calls systempaths=unconfined unmask=ALL; no port of the host.
cat >"$work/compose.override.yaml" <<'OVERRIDE'
services:
  redis: {networks: !override {store: {ipv4_address: 10.99.7.10}}}
  api:
    volumes: ["./srv:/srv"]
    ports: !reset []
    extra_hosts: ["redis:10.99.7.10"]
    environment: {PJ_FORGES: /srv/forges.json}
  runner:
    volumes: ["./srv:/srv"]
    extra_hosts: ["redis:10.99.7.10"]
    security_opt: !override [no-new-privileges:true, unmask=ALL]
    environment: {PJ_FORGES: /srv/forges.json, PJ_REPLAY_FILE: /srv/replay.json}
networks:
  store: {ipam: {config: [{subnet: 10.99.7.0/24}]}}
OVERRIDE

# shellcheck disable=SC2016 # the inner shell expands
unshare --mount sh -c 'mount --make-rprivate /
    if grep -q " cgroup " /proc/mounts; then umount -l /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup; fi
    exec podman "$@"' sh "${flags[@]}" system service --time=0 "$DOCKER_HOST" >"$work/service.log" 2>&1 &
service=$!
pause() { read -r -t 0.5 <> <(:) || true; }
for _ in $(seq 40); do [ ! -S "$work/podman.sock" ] || break; pause; done
cd "$work"
timeout 120 "$compose" up -d --no-build >up.log 2>&1 &
up=$!
# Without systemd nobody runs podman's health checks: here they are run.
while kill -0 $up 2>/dev/null; do
    nsenter -t "$service" -m podman "${flags[@]}" healthcheck run "$COMPOSE_PROJECT_NAME-redis-1" >/dev/null 2>&1 || true
    pause
done
wait $up || { tail -5 up.log; exit 1; }
# shellcheck disable=SC2016 # the container's shell expands
timeout 120 "$compose" exec -T api sh -c 'PJ_TOKEN=$PJ_BOOTSTRAP_TOKEN pj run /srv/tally.git "Add --top N to tally.sh" --follow' >run.log 2>&1 ||
    { tail -15 run.log; "$compose" logs --tail 5 api runner; exit 1; }
grep -q "^status.completed" run.log
git -c safe.directory='*' --git-dir srv/tally.git log --all --format=%s >commits
grep -qx 'Pithy Jaunt: Add --top N to tally.sh' commits
nsenter -t "$service" -m podman "${flags[@]}" healthcheck run "$COMPOSE_PROJECT_NAME-api-1" >/dev/null
timeout 60 "$compose" exec -T runner pj doctor >doctor.log 2>&1 || { cat doctor.log; exit 1; }
grep -q "^ok *box *a box can be made here" doctor.log
echo "compose.yaml in podman: a task completed, the API is healthy, a box can be made"
