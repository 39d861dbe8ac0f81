#!/bin/bash
# openapi.sh BUILD: api/openapi.json passes redocly's recommended rules, without an error and without a warning; a copy that was broken
# does not. 77 where npm is not there or cannot fetch the linter (PJ_LINT=required makes that a failure).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
document=$here/../../../api/openapi.json
folder=$1/openapi-lint
export REDOCLY_TELEMETRY=off REDOCLY_SUPPRESS_UPDATE_NOTICE=true NO_COLOR=1

absent() {
    echo "$1: the document is not linted" >&2
    [ "${PJ_LINT:-}" = required ] && exit 1
    exit 77
}

command -v npm >/dev/null || absent "there is no npm"
mkdir -p "$folder"
if ! cmp -s "$here/package-lock.json" "$folder/package-lock.json"; then
    cp "$here/package.json" "$here/package-lock.json" "$folder/"
    if ! npm ci --prefix "$folder" --ignore-scripts --no-audit --no-fund --prefer-offline --silent; then
        rm -f "$folder/package-lock.json"
        absent "npm cannot fetch the linter"
    fi
fi

lint() {
    (cd "$folder" && node_modules/.bin/redocly lint --format=json "$1" 2>"$folder/errors") >"$folder/report.json" || true
    python3 - "$folder/report.json" <<'END'
import json, sys
report = json.load(open(sys.argv[1]))
for p in report["problems"]:
    print(p["severity"], p["ruleId"], p["location"][0].get("pointer", ""), p["message"], file=sys.stderr)
print(report["totals"]["errors"] + report["totals"]["warnings"])
END
}

found=$(lint "$document")
if [ "$found" != 0 ]; then
    echo "api/openapi.json: $found findings" >&2
    exit 1
fi
# The linter does look: a response without a description, a path parameter that is not declared.
python3 - "$document" "$folder/broken.json" <<'END'
import json, sys
d = json.load(open(sys.argv[1]))
del d["components"]["responses"]["E404"]["description"]
d["paths"]["/api/v1/tasks/{id}"]["get"]["parameters"] = []
json.dump(d, open(sys.argv[2], "w"))
END
found=$(lint "$folder/broken.json" 2>/dev/null)
if [ "$found" -lt 2 ]; then
    echo "the linter found $found faults in a document that has two" >&2
    exit 1
fi
