#!/bin/sh
# Runs every case below; the exit status is the number of failures.
cd "$(dirname "$0")/.." || exit 99
failed=0

# check NAME EXPECTED ACTUAL
check() {
    if [ "$2" = "$3" ]; then
        echo "ok   $1"
    else
        printf 'FAIL %s\nexpected: %s\nactual:   %s\n' "$1" "$2" "$3"
        failed=$((failed + 1))
    fi
}

check "counts words" "2 be
2 to
1 not
1 or" "$(echo 'to be or not to be' | sh tally.sh)"
check "ignores case and punctuation" "3 a" "$(echo 'A, a; a!' | sh tally.sh)"
check "prints nothing for no text" "" "$(sh tally.sh </dev/null)"
sh tally.sh surprise </dev/null 2>/dev/null
check "refuses arguments it does not know" 2 $?

exit "$failed"
