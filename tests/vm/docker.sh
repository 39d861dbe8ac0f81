# shellcheck shell=bash disable=SC2016,SC2001 # what stands in single quotes is another shell's
# Docker's own engine: in its default container `pj doctor` names one closed gate after the other and the flag for it; with those flags a box passes its
# probes; compose.yaml as it stands carries a task out.
if [ ! -e images.tar ]; then
    echo "skip Docker: no image was brought along (see tests/vm/README.md)"
    return 0
fi
soon 60 docker info
holds "docker load" docker load --quiet --input images.tar
rm -f images.tar
echo "# Docker $(docker version --format '{{.Server.Version}}'), $(docker info --format '{{.CgroupDriver}} {{.CgroupVersion}} {{.SecurityOptions}}')"
image=pithy-jaunt:local flags=()
# What pj doctor says of the box in a container with the flags found so far, "level | detail | remedy" a line; the flags for Docker among it.
gates() {
    docker run --rm --network none "${flags[@]}" $image pj doctor --json 2>doctor.err >doctor.json
    python3 -c 'import json
for f in json.load(open("doctor.json")):
    if f["check"] == "box": print(f["level"], "|", f["detail"], "|", f["remedy"])'
}
said=$(gates)
sed 's/^/# /' <<<"$said"
asked=$(sed -n 's/^wrong .*| docker run //p' <<<"$said" | grep -o -- '--security-opt [^ ]*' | sort -u)
holds "the default container has closed gates, and pj doctor names Docker's flags for them" [ -n "$asked" ]
# shellcheck disable=SC2206 # words, as a shell gets them
flags=(${asked//seccomp=runner/seccomp=$PWD/runner})
said=$(gates)
sed 's/^/# /' <<<"$said"
echo "$said" >doctor.said
holds "with the flags that it named a box can be made" grep -q "^ok | a box can be made here" doctor.said
holds "they are those of compose.yaml" python3 -c '
import sys
words = set(w for w in sys.argv[1].split() if not w.startswith("--"))
print(words)
sys.exit(not words <= {"seccomp=runner-seccomp.json", "apparmor=unconfined", "systempaths=unconfined"})' "$asked"
holds "and a box runs" [ "$(docker run --rm --network none "${flags[@]}" $image pj sandbox -- /bin/echo in the box)" = "in the box" ]
docker run --rm --network none "${flags[@]}" $image pj-sandbox --check >check.out 2>&1
holds "pj-sandbox --check finds no closed gate that a box needs" docker run --rm --network none "${flags[@]}" $image pj-sandbox --check
holds "as root with the right to mount, too" docker run --rm --network none --user root --cap-add SYS_ADMIN --cap-add NET_ADMIN --security-opt seccomp=unconfined \
    --security-opt apparmor=unconfined --security-opt systempaths=unconfined $image pj sandbox -- /bin/true
docker run --rm --network none --user root $image pj-sandbox -- /bin/true 2>root.err
holds "root in the default container is refused" [ $? = 125 ]

compose=(docker-compose)
[ ! -x ./docker-compose ] || compose=(./docker-compose)
if ! "${compose[@]}" version --short 2>/dev/null | grep -q '^v\?2'; then
    echo "skip compose.yaml: this system's docker-compose is $("${compose[@]}" version --short 2>/dev/null || echo none), and version 2 was not brought along"
    return 0
fi
mkdir -p helm/files
cp runner-seccomp.json helm/files/
sed "s|^PJ_SECRET_KEY=.*|&$(head -c 32 /dev/urandom | base64)|; s|^PJ_BOOTSTRAP_TOKEN=.*|&$(head -c 24 /dev/urandom | base64)|
    s|^MODEL_PROVIDER=.*|MODEL_PROVIDER=replay|" .env.example >.env
./sample_remote.sh sample srv /srv
chown -R 1000:1000 srv
cat >compose.override.yaml <<'END'
services:
  redis: {healthcheck: {timeout: 60s, start_period: 300s}} # an emulated machine is slow
  api: {healthcheck: {timeout: 60s, start_period: 300s}, volumes: ["./srv:/srv"], environment: {PJ_FORGES: /srv/forges.json}}
  runner: {volumes: ["./srv:/srv"], environment: {PJ_FORGES: /srv/forges.json, PJ_REPLAY_FILE: /srv/replay.json}}
END
LINES_OF_LOG=30 holds "docker compose up" timeout 600 "${compose[@]}" up -d --no-build
holds "the API is healthy" soon 120 sh -c '[ "$(docker inspect --format "{{.State.Health.Status}}" "$(docker ps -q --filter label=com.docker.compose.service=api)")" = healthy ]'
timeout 300 "${compose[@]}" exec -T api sh -c 'PJ_TOKEN=$PJ_BOOTSTRAP_TOKEN pj run /srv/tally.git "Add --top N to tally.sh" --follow' >compose.log 2>&1
says "a task of compose.yaml is completed" "completed" compose.log
git -c safe.directory='*' --git-dir srv/tally.git log --all --format=%s >commits
says "its branch is pushed" "Pithy Jaunt: Add --top N to tally.sh" commits
"${compose[@]}" exec -T runner pj doctor >doctor.out 2>&1
says "pj doctor in the runner's container" "a box can be made here" doctor.out
grep -h "isolation" compose.log | head -1 | sed 's/^/# /'
holds "docker compose down" timeout 120 "${compose[@]}" down -v
