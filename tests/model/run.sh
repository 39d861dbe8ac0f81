#!/bin/bash
# run.sh FOLDER - check lease.pml and its negative controls with spin, working in FOLDER. Exit 77: no spin here.
set -eu
model=$(cd "$(dirname "$0")" && pwd)/lease.pml
command -v spin >/dev/null || { echo "skipped: spin is not installed (apt-get install spin)"; exit 77; }
mkdir -p "$1"
cd "$1"

# errors CLAIM DEFINES…: the number of errors spin finds; "incomplete" when it could not look at everything.
errors() {
    local claim=$1 how=-DSAFETY run=
    shift
    if [ "$claim" = all_end ]; then how=-DNFAIR=6 run="-a -f"; fi
    rm -f pan* ./*.trail
    spin -a "$@" "$model" >spin.log || { cat spin.log >&2; exit 1; }
    gcc -O1 -w -DMEMLIM=3000 $how -o pan pan.c
    ./pan -m1000000 $run -N "$claim" >pan.log 2>&1
    if grep -q 'max search depth too small\|memory limit' pan.log; then echo incomplete; return; fi
    sed -n 's/.*errors: \([0-9]*\).*/\1/p' pan.log
}

failed=0
# expect TEXT WANT CLAIM DEFINES…
expect() {
    local text=$1 want=$2 got
    shift 2
    got=$(errors "$@")
    if [ "$got" = "$want" ]; then echo "ok   $text ($(sed -n 's/ *\([0-9.e+]*\) states, stored.*/\1 states/p' pan.log | tail -1))"
    else echo "FAIL $text: $got errors, expected $want"; failed=1; fi
}

expect "one end, one notice, nothing out of sight: 3 runners, three deliveries, crashes anywhere" 0 sight -DRUNNERS=3
expect "every task ends, whoever crashes: 3 runners" 0 all_end -DRUNNERS=3 -DDELIVERIES=2
expect "control: finish that compares nothing ends twice" 1 sight -DRUNNERS=2 -DDELIVERIES=2 -DNO_CAS
expect "control: writes without a fence let a zombie write" 1 sight -DRUNNERS=2 -DDELIVERIES=2 -DNO_FENCE
expect "control: bells nobody rings again for strand a task" 1 all_end -DRUNNERS=2 -DDELIVERIES=2 -DEARLY=2 -DNO_BELLS
expect "control: without a reaper a crash strands a task" 1 all_end -DRUNNERS=2 -DDELIVERIES=2 -DNO_REAPER
exit $failed
