#!/usr/bin/env bash
# Checks that the committed assembly of internal/simd is what its generator makes. Changes nothing in the working tree.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

go run -C gen . -out "$scratch/kernels_amd64.s" -stubs "$scratch/kernels_amd64.go" -pkg simd
for generated in kernels_amd64.s kernels_amd64.go; do
	# The first line names the command, and so the folder it wrote to.
	if ! diff <(tail -n +2 "$scratch/$generated") <(tail -n +2 "$generated") >"$scratch/drift"; then
		head -40 "$scratch/drift"
		echo "internal/simd/$generated is not what internal/simd/gen makes: run 'make simd' and commit the result" >&2
		exit 1
	fi
done
