#!/bin/bash
# A remote with the sample project, a forge file that allows it, and the recorded answers that play the model.
# usage: sample_remote.sh SAMPLE FOLDER, where SAMPLE is api/cli/sample. Makes FOLDER/{tally.git,forges.json,replay.json}.
set -euo pipefail
sample=$1 folder=$2
mkdir -p "$folder"
clone=$(mktemp -d)
trap 'rm -rf "$clone"' EXIT
git init -q --bare --initial-branch=main "$folder/tally.git"
git clone -q "$folder/tally.git" "$clone/tally" 2>/dev/null
cp -r "$sample/project/." "$clone/tally/"
git -C "$clone/tally" add -A
git -C "$clone/tally" -c user.name=Sample -c user.email=sample@localhost commit -q -m "Tally words"
git -C "$clone/tally" push -q origin HEAD:main
cp "$sample/replay.json" "$folder/"
printf '[{"kind":"git","root":"%s"}]\n' "${3:-$folder}" >"$folder/forges.json"
