#!/usr/bin/env bash
# Runs each fuzz target of the tree for a time (30s unless the argument says otherwise), one after the other, and goes on
# after a failure, so that one run finds all. What fails is written to testdata/fuzz beside its target: commit it with the
# fix, and `make test` runs it from then on.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
time=${1:-30s}
packages=("${@:2}")
[[ ${#packages[@]} -gt 0 ]] || packages=(./...)

failed=()
for package in $(go list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}}{{end}}' "${packages[@]}"); do
	dir=$(go list -f '{{.Dir}}' "$package")
	grep -qs '^func Fuzz' "$dir"/*_test.go || continue # compiling a package's tests takes long
	for target in $(go test -list '^Fuzz' "$package" | grep '^Fuzz'); do
		echo "==> $target for $time, ${package#*/engram-stream/}"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" "$package" || failed+=("$package.$target")
	done
done
if [[ ${#failed[@]} -gt 0 ]]; then
	printf '%s\n' "failed:" "${failed[@]}" >&2
	exit 1
fi
