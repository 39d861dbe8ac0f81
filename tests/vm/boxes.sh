# shellcheck shell=bash disable=SC2016,SC2001 # what stands in single quotes is another shell's
# Limits on real control groups of version 2, as root and as an ordinary user with a delegated group; the attacks; the gates.
mkdir -p /etc/systemd/system/user@.service.d
printf '[Service]\nDelegate=cpu memory pids\n' >/etc/systemd/system/user@.service.d/delegate.conf # a user's manager gets no cpu by itself
systemctl daemon-reload
systemctl restart user@1000
box=$(mktemp -d)
chmod 777 "$box"
# kept WHO COMMAND…: all three limits are kept by version 2, and the kill is the group's.
kept() {
    local who=$1
    shift
    holds "$who: a box with limits" "$@" sh -c 'pj-sandbox --result-fd 3 --memory 256M --pids 64 --cpu 1 -- /bin/true 3>"$1"' sh "$box/$who.json"
    for word in memory:cgroup-v2 pids:cgroup-v2 cpu:cgroup-v2 cgroup.kill; do
        says "$who: $word" "\"$word\"" "$box/$who.json"
    done
    # shellcheck disable=SC2016 # the box's shell expands
    "$@" sh -c 'pj-sandbox --result-fd 3 --memory 64M --timeout 60s -- /bin/sh -c "head -c 200000000 /dev/zero >/tmp/f" 3>"$1"' sh "$box/$who-oom.json"
    says "$who: out of memory is told" '"oomKilled":true' "$box/$who-oom.json"
    # shellcheck disable=SC2016
    "$@" sh -c 'pj-sandbox --result-fd 3 --memory 64M -- /bin/sh -c "kill -KILL \$\$" 3>"$1"' sh "$box/$who-kill.json"
    says "$who: a kill is not called out of memory" '"oomKilled":false' "$box/$who-kill.json"
    # shellcheck disable=SC2016
    "$@" sh -c 'pj-sandbox --result-fd 3 --cpu 0.5 --timeout 3s -- /bin/sh -c "while :; do :; done & while :; do :; done" 3>"$1"' sh "$box/$who-cpu.json"
    holds "$who: half a processor is half a processor" python3 -c '
import json, sys
r = json.load(open(sys.argv[1]))
print(r)
sys.exit(not (r["timedOut"] and r["cpuMs"] < 2300))' "$box/$who-cpu.json"
}
kept root env
kept user as_tester
holds "no control group is left" sh -c '! find /sys/fs/cgroup -name "pj-sandbox.*" | grep .'
holds "--check as root" pj-sandbox --check
holds "--check as an ordinary user" as_tester pj-sandbox --check

export PJ_TEST_BIN=/opt/pj/bin PJ_TEST_SRC=/opt/pj
for test in tests/test_sandbox_*; do
    LINES_OF_LOG=60 holds "$(basename "$test") as root" timeout 300 "$test" --jobs 2
done
for test in limits hostile; do
    LINES_OF_LOG=60 holds "test_sandbox_$test as an ordinary user with a delegated group" as_tester env PJ_TEST_BIN=$PJ_TEST_BIN PJ_TEST_SRC=$PJ_TEST_SRC timeout 300 "tests/test_sandbox_$test" --jobs 2
done
holds "no control group is left behind by them" sh -c '! find /sys/fs/cgroup -name "pj-sandbox.*" | grep .'
rm -rf "$box"
