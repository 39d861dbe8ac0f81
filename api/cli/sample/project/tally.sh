#!/bin/sh
# tally - count how often each word occurs on standard input, most frequent first.
set -eu

if [ $# -gt 0 ]; then
    echo "usage: tally.sh < text" >&2
    exit 2
fi

tr -cs '[:alnum:]' '\n' |
    tr '[:upper:]' '[:lower:]' |
    sed '/^$/d' |
    sort |
    uniq -c |
    sort -k1,1nr -k2,2 |
    sed 's/^ *//'
