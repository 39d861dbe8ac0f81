#!/bin/bash
# The image as the Dockerfile makes it, by buildah: localhost/pithy-jaunt in STORAGE, from a Debian 13 that mmdebstrap makes (localhost/debian:13).
# usage: image_build.sh STORAGE [ARCHIVE]. With ARCHIVE, also that file, for docker load: the image and a Redis, under the names that
# compose.yaml has. Layers that are there are used again. Needs root.
set -euo pipefail
src=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
keep=$1 archive=${2:-}
storage=(--root "$keep/root" --runroot "$keep/run")
work=$(mktemp -d)
container=
leave() {
    [ -z "$container" ] || buildah "${storage[@]}" rm "$container" >/dev/null || true
    umount "$keep/root/overlay" 2>/dev/null || true
    rm -rf "$work"
}
trap leave EXIT

# The base, once.
mkdir -p "$keep"
if ! buildah "${storage[@]}" inspect --type image localhost/debian:13 >/dev/null 2>&1; then
    mmdebstrap --quiet --variant=minbase --include=ca-certificates trixie "$work/base.tar"
    container=$(buildah "${storage[@]}" from scratch)
    buildah "${storage[@]}" add --quiet "$container" "$work/base.tar" / >/dev/null
    buildah "${storage[@]}" commit --quiet "$container" localhost/debian:13 >/dev/null
    buildah "${storage[@]}" rm "$container" >/dev/null
    container=
fi
mkdir "$work/src"
git -C "$src" ls-files -z --cached --others --exclude-standard | tar -C "$src" --null --files-from=- --ignore-failed-read -cf - | tar -C "$work/src" -xf -
# npm in the build trusts whom this host trusts.
nice buildah "${storage[@]}" build --isolation chroot --network host --format docker --layers \
    --volume /etc/ssl/certs/ca-certificates.crt:/run/host-ca.crt:ro --build-arg NODE_EXTRA_CA_CERTS=/run/host-ca.crt \
    --build-arg BASE=localhost/debian:13 --tag localhost/pithy-jaunt "$work/src" >"$work/build.log" 2>&1 ||
    { tail -40 "$work/build.log"; exit 1; }
buildah "${storage[@]}" inspect --type image localhost/pithy-jaunt | grep -q '"Healthcheck"' || { echo "the image has no health check"; exit 1; }
[ -n "$archive" ] || exit 0

"$src/tests/helm/redis_image.sh" "$keep" localhost/debian:13
buildah "${storage[@]}" tag localhost/pithy-jaunt docker.io/library/pithy-jaunt:local
rm -f "$archive"
podman "${storage[@]}" save --quiet --multi-image-archive --output "$archive" docker.io/library/pithy-jaunt:local docker.io/library/redis:7.2-bookworm
