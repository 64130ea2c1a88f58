#!/usr/bin/env bash
# What the tests need beside Go: a C compiler, since the race detector links C code, curl and perl, since the lines of the
# README and of docs/protocol are run as they stand, and Python with pip, since gRPC's client for it is tested too. On a bare machine this installs what
# is missing where it may (root on a Debian or Alpine system) and otherwise says what is missing. Without Python only
# its own test fails, unless ENGRAM_SKIP_PYTHON is set, so the others are not held up.
set -euo pipefail

debian=() alpine=() missing=() python=
if ! command -v "$(go env CC)" >/dev/null; then
	missing+=("a C compiler ($(go env CC))") debian+=(gcc libc6-dev) alpine+=(gcc musl-dev)
fi
if ! command -v curl >/dev/null; then
	missing+=(curl) debian+=(curl) alpine+=(curl)
fi
if ! command -v perl >/dev/null; then
	missing+=(perl) debian+=(perl) alpine+=(perl)
fi
if [[ -z ${ENGRAM_SKIP_PYTHON:-} ]] && ! python3 -m pip --version >/dev/null 2>&1; then
	python="python3 with pip"
fi
[[ ${#missing[@]} -gt 0 || -n $python ]] || exit 0

# install PACKAGE-OF-DEBIAN... -- PACKAGE-OF-ALPINE...: false where it may not, or cannot.
install() {
	local debian=()
	while [[ $1 != -- ]]; do
		debian+=("$1")
		shift
	done
	shift
	[[ $(id -u) == 0 ]] || return 1
	if command -v apt-get >/dev/null; then
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${debian[@]}"
	elif command -v apk >/dev/null; then
		apk add --quiet "$@"
	else
		return 1
	fi
}

if [[ ${#missing[@]} -gt 0 ]]; then
	echo "--> missing: ${missing[*]}; installing"
	if ! install "${debian[@]}" -- "${alpine[@]}"; then
		echo "install ${missing[*]}, then run make again" >&2
		exit 1
	fi
fi
if [[ -n $python ]]; then
	echo "--> missing: $python; installing"
	install python3 python3-pip -- python3 py3-pip ||
		echo "install $python, or set ENGRAM_SKIP_PYTHON=1: until then TestPython fails" >&2
fi
