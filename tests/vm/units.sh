# shellcheck shell=bash disable=SC2016,SC2001 # what stands in single quotes is another shell's
# The package's units as systemd runs them: readiness, a task to its end, limits by the delegated group, a stop that drains, hardening.
holds "systemd-analyze verify" systemd-analyze verify --man=no /lib/systemd/system/pj-api.service /lib/systemd/system/pj-runner.service
./sample_remote.sh sample /srv/repos
mkdir -p /etc/systemd/system/pj-runner.service.d
printf '[Service]\nReadWritePaths=/srv/repos\n' >/etc/systemd/system/pj-runner.service.d/remotes.conf
mv /srv/repos/forges.json /srv/repos/replay.json /etc/pithyjaunt/
chown -R pithyjaunt: /srv/repos
chgrp pithyjaunt /etc/pithyjaunt/*.json
chmod 0640 /etc/pithyjaunt/*.json
printf 'PJ_FORGES=/etc/pithyjaunt/forges.json\n' >>/etc/pithyjaunt/api.conf
printf 'MODEL_PROVIDER=replay\nPJ_REPLAY_FILE=/etc/pithyjaunt/replay.json\nPJ_FORGES=/etc/pithyjaunt/forges.json\n' >>/etc/pithyjaunt/runner.conf
systemctl daemon-reload
# Type=notify: start returns when the program said that it is ready.
holds "systemctl start" systemctl start redis-server pj-api pj-runner
holds "ready at once: the API answers" curl -fsS http://127.0.0.1:8080/readyz
systemctl status pj-api pj-runner >units.status 2>&1
says "systemctl status: active" "Active: active (running)" units.status
holds "both said READY=1" sh -c '[ "$(systemctl show -p Type --value pj-api)$(systemctl show -p SubState --value pj-api)$(systemctl show -p SubState --value pj-runner)" = notifyrunningrunning ]'
for unit in pj-api pj-runner; do
    systemd-analyze security --no-pager $unit >security.out 2>&1
    echo "# $(tail -1 security.out)"
    holds "systemd-analyze security $unit: exposure below 5" python3 -c '
import re, sys
print(*(n := re.findall(r"level for \S+: ([0-9.]+)", open("security.out").read())))
sys.exit(not (n and float(n[0]) < 5))'
done
holds "pj login" sh -c 'pj admin reset-token admin@localhost | pj login'
holds "pj run to the end of a task" sh -c 'timeout 180 pj run /srv/repos/tally.git "Add --top N to tally.sh" --follow >run.log 2>&1 || { cat run.log; journalctl --no-pager -n 20 -u pj-runner; false; }'
git -c safe.directory='*' --git-dir /srv/repos/tally.git log --all --format=%s >commits
says "its branch is pushed" "Pithy Jaunt: Add --top N to tally.sh" commits
pj logs "$(sed -n 's/^task\t//p' run.log)" --json >log.json
pj runner list --json >runners.json
for word in memory:cgroup-v2 pids:cgroup-v2 cgroup.kill; do
    says "the task's boxes: $word" "$word" log.json
    says "pj runner list: $word" "$word" runners.json
done
holds "pj doctor" sh -c 'pj doctor >doctor.out 2>&1 || { cat doctor.out; false; }'
says "pj doctor sees the box" "a box can be made here" doctor.out

# A stop drains: the task that runs is finished first.
id=$(pj task create /srv/repos/tally.git "Add --top N to tally.sh" --execute --json | python3 -c 'import json,sys; print(json.load(sys.stdin)["id"])')
soon 60 sh -c "pj task show $id --json | grep -q '\"runner\": *\"'"
systemctl stop pj-runner
pj task show "$id" --json >drained.json
holds "systemctl stop waited for the task" python3 -c '
import json
t = json.load(open("drained.json"))
print(t["status"], t["stage"], t["attempt"], t["error"])
raise SystemExit(t["status"] not in ("completed", "failed", "needs_review"))'
systemctl stop pj-api
holds "both stopped in order" sh -c '! systemctl is-failed pj-runner pj-api'
holds "no process of theirs is left" sh -c '! pgrep -a "^pj-"'
holds "no control group of theirs is left" sh -c '! find /sys/fs/cgroup -path "*pj-*" -type d | grep -v pj-vm.service'
