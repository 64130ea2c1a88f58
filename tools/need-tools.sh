#!/usr/bin/env bash
# What the tests need beside Go: a C compiler, since the race detector links C code, and curl and perl, since the lines of
# the README and of docs/protocol are run as they stand. On a bare machine this installs what is missing where it may (root on a Debian or Alpine
# system) and otherwise says what is missing.
set -euo pipefail

debian=() alpine=() missing=()
if ! command -v "$(go env CC)" >/dev/null; then
	missing+=("a C compiler ($(go env CC))") debian+=(gcc libc6-dev) alpine+=(gcc musl-dev)
fi
if ! command -v curl >/dev/null; then
	missing+=(curl) debian+=(curl) alpine+=(curl)
fi
if ! command -v perl >/dev/null; then
	missing+=(perl) debian+=(perl) alpine+=(perl)
fi
[[ ${#missing[@]} -gt 0 ]] || exit 0

echo "--> missing: ${missing[*]}; installing"
if [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null; then
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${debian[@]}"
elif [[ $(id -u) == 0 ]] && command -v apk >/dev/null; then
	apk add --quiet "${alpine[@]}"
else
	echo "install ${missing[*]}, then run make again" >&2
	exit 1
fi
