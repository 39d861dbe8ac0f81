# shellcheck shell=bash
# What the parts say things with; read by inside.sh.
# holds WHAT COMMAND…: ok when the command succeeds; else not ok, with its last lines.
holds() {
    local what=$1 log
    shift
    log=$(mktemp)
    if "$@" >"$log" 2>&1; then
        echo "ok $what"
        rm -f "$log"
        return 0
    fi
    echo "not ok $what: $*"
    grep -vE '^\[----\] *$' "$log" | tail -n "${LINES_OF_LOG:-15}" | sed 's/^/#   /'
    rm -f "$log"
    return 1
}
# says WHAT WORD FILE: the file has the word.
says() {
    holds "$1" grep -qF -e "$2" "$3" || sed 's/^/#   /' "$3" | tail -n 20
}
# soon SECONDS COMMAND…: it becomes true. (A pipe nobody writes to is the pause.)
soon() {
    local end=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $end ] || return 1
        read -r -t 0.3 <> <(:) || true
    done
}
# as_tester COMMAND…: as an ordinary user, in a scope of its own that its manager delegates.
as_tester() {
    setpriv --reuid tester --regid tester --init-groups env XDG_RUNTIME_DIR=/run/user/1000 HOME=/home/tester \
        systemd-run --quiet --user --scope -p Delegate=yes "$@"
}
