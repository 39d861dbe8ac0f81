#!/bin/sh
# check.sh FOLDER: is openapi.json the cut of what GitHub publishes, and does GitHub's own parser take our workflow? Fetches both by npm
# into FOLDER, once, by the versions and digests of package-lock.json. Without npm, or where the registry is not reached: 77, which counts
# as skipped and says why.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
into=$1
description=$into/node_modules/@octokit/openapi/generated/api.github.com.json
for program in node npm python3; do
    command -v $program >/dev/null || { echo "skipped: $program is not installed"; exit 77; }
done
if ! cmp -s "$here/package-lock.json" "$into/package-lock.json" || [ ! -f "$description" ]; then
    mkdir -p "$into"
    rm -rf "$into/node_modules"
    cp "$here/package.json" "$here/package-lock.json" "$into"
    if ! npm ci --prefix "$into" --ignore-scripts --no-audit --no-fund --fetch-retries 1 --fetch-timeout 60000 >"$into/npm.log" 2>&1; then
        rm -f "$into/package-lock.json"
        if grep -q EINTEGRITY "$into/npm.log"; then
            cat "$into/npm.log"
            exit 1
        fi
        echo "skipped: npm could not fetch what GitHub publishes: $(grep -m1 'code' "$into/npm.log" || true)"
        exit 77
    fi
    # 380 MB of other forms and versions are of no use here.
    find "$into/node_modules/@octokit/openapi/generated" -name '*.json' ! -name api.github.com.json -delete
fi
python3 "$here/extract.py" --check "$description" "$here/openapi.json"
node "$here/workflow.mjs" "$into" "$here/../../../api/cli/workflow.yml"
