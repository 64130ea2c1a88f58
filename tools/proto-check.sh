#!/usr/bin/env bash
# Checks the wire protocol: its style, that nothing which clients rely on was broken, and that the committed Go code and
# reference are what the generators make of it. Changes nothing in the working tree.
#
# PROTO_BASE=<commit> compares with that commit instead of the ones found below.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

buf() { go tool -modfile=tools/go.mod buf "$@"; }

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# The commits to compare with: HEAD, which catches what is not committed yet, and where this branch left main, or the
# commit before when this is main. A shallow or missing history leaves fewer, and says so.
bases() {
	if [[ -n ${PROTO_BASE:-} ]]; then
		git rev-parse --verify "$PROTO_BASE^{commit}"
		return
	fi
	local head fork
	head=$(git rev-parse --verify --quiet HEAD) || return 0
	echo "$head"
	fork=$(git merge-base HEAD origin/main 2>/dev/null || git merge-base HEAD main 2>/dev/null || true)
	if [[ -z $fork || $fork == "$head" ]]; then
		fork=$(git rev-parse --verify --quiet HEAD^ || true)
	fi
	[[ -z $fork ]] || echo "$fork"
}

echo "--> lint"
buf lint
buf format --diff --exit-code proto

echo "--> breaking changes"
base_commits=$(bases)
[[ -n $base_commits ]] || echo "    no earlier commit to compare with: skipped"
for base in $base_commits; do
	if ! git cat-file -e "$base:buf.yaml" 2>/dev/null; then
		echo "    ${base:0:12} has no protocol yet: skipped"
		continue
	fi
	mkdir "$scratch/$base"
	git archive "$base" buf.yaml proto third_party | tar -x -C "$scratch/$base"
	echo "    against ${base:0:12}"
	buf breaking --against "$scratch/$base"
done

echo "--> generated code and reference"
buf generate --output "$scratch/generated"
for generated in proto/gen docs/protocol/reference; do
	if ! diff -r "$scratch/generated/$generated" "$generated" >"$scratch/drift"; then
		head -40 "$scratch/drift"
		echo "$generated is not what the generators make of proto/: run 'make proto' and commit the result" >&2
		exit 1
	fi
done
