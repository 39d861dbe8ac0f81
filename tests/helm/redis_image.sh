#!/bin/bash
# Redis as Debian has it, under the name that compose.yaml asks for. usage: redis_image.sh STORAGE BASE
set -euo pipefail
storage=$1 base=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
printf 'FROM %s\nRUN apt-get update -q && apt-get install -y -q --no-install-recommends redis-server && install -d -o redis /data && rm -rf /var/lib/apt/lists/*\nUSER redis\nWORKDIR /data\n' \
    "$base" | buildah --root "$storage/root" --runroot "$storage/run" build --isolation chroot --network host --layers \
    --tag docker.io/library/redis:7.2-bookworm -f - "$work" >"$work/redis.log" 2>&1 || { tail -5 "$work/redis.log"; exit 1; }
