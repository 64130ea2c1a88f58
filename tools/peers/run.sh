#!/usr/bin/env bash
# Measures engram's graph and hnswlib with the same vectors, on this machine, in turn: engram, hnswlib, engram. So load of
# others that comes or goes shows as a difference between engram's two. Prints both side by side.
#
#   tools/peers/run.sh OUT [flags of engram bench dataset]
#   tools/peers/run.sh out/synthetic --count 200000
#   tools/peers/run.sh out/fashion --metric l2 --dataset train-images-idx3-ubyte.gz --queries t10k-images-idx3-ubyte.gz
#
# OUT is a folder for the vectors and the measurements. THREADS (default 1,2), EF_CONSTRUCTION (100,200) and BATCHES (1,100,1000)
# narrow a run.
set -euo pipefail
[[ $# -ge 1 && $1 != -* ]] || { sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0" >&2; exit 2; }
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
out=$1
shift
mkdir -p "$out"

metric=cosine
for ((i = 1; i <= $#; i++)); do
	case ${!i} in
	--metric) j=$((i + 1)) metric=${!j} ;;
	--metric=*) metric=${!i#--metric=} ;;
	esac
done

venv=$here/venv
if [[ ! -x $venv/bin/python ]]; then
	python3 -m venv "$venv"
fi
"$venv/bin/pip" install -q --disable-pip-version-check -r "$here/requirements.txt"
(cd "$here/../.." && go build -o bin/engram ./cmd/engram)
engram=$here/../../bin/engram

"$engram" bench dataset --out "$out/base.fvecs" --queries-out "$out/queries.fvecs" "$@"

measured=()
ours() { # turn
	local threads ef
	for ef in ${EF_CONSTRUCTION//,/ }; do
		for threads in ${THREADS//,/ }; do
			local file=$out/engram-$1-$ef-$threads.json
			GOMAXPROCS=$threads "$engram" bench hnsw --json --dataset "$out/base.fvecs" --queries "$out/queries.fvecs" --query-count 100000 \
				--metric "$metric" --ef-construction "$ef" --workers "$threads" --batches "$BATCHES" >"$file"
			measured+=("$file")
		done
	done
}
THREADS=${THREADS:-1,2} EF_CONSTRUCTION=${EF_CONSTRUCTION:-100,200} BATCHES=${BATCHES:-1,100,1000}

echo "==> engram, before" >&2
ours before
echo "==> hnswlib" >&2
"$venv/bin/python" "$here/hnswlib_bench.py" "$out/base.fvecs" "$out/queries.fvecs" --metric "$metric" \
	--threads "$THREADS" --ef-construction "$EF_CONSTRUCTION" >"$out/hnswlib.json"
measured+=("$out/hnswlib.json")
echo "==> engram, after" >&2
ours after

"$venv/bin/python" "$here/table.py" "${measured[@]}" | tee "$out/table.md"
