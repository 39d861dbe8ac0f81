#!/bin/bash
# sample.sh ROOT: the sample project's own check is green before the replay's edits. (That the edits apply and stay green is
# shown by the scenario that runs `pj up`.)
set -euo pipefail
cp -r "$1/api/cli/sample/project" "$2"
trap 'rm -rf "$2"' EXIT
cd "$2"
sh tests/run.sh
