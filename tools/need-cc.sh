#!/usr/bin/env bash
# The race detector links C code, so it needs a C compiler. On a bare machine this installs one where it may (root on a
# Debian or Alpine system) and otherwise says what is missing.
set -euo pipefail

if command -v "$(go env CC)" >/dev/null; then
	exit 0
fi
echo "--> no C compiler ($(go env CC)), which the race detector needs: installing gcc"
if [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null; then
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends gcc libc6-dev
elif [[ $(id -u) == 0 ]] && command -v apk >/dev/null; then
	apk add --quiet gcc musl-dev
else
	echo "install gcc or clang, then run make again" >&2
	exit 1
fi
