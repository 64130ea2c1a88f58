"""Measures hnswlib as `engram bench hnsw` measures engram's graph: the same vectors and queries, from .fvecs files.

Prints a JSON document: a build for each efConstruction and number of threads, and of each a sweep of ef, one query at a time
on one thread. Of equally near neighbours any is right. CPU is that of the whole process, by getrusage.
"""

import argparse
import importlib.metadata
import json
import resource
import sys
import time

import hnswlib
import numpy as np


def read_fvecs(path):
    flat = np.fromfile(path, dtype=np.int32)
    if flat.size == 0:
        sys.exit(f"{path}: there are no vectors in it")
    dimension = int(flat[0])
    if dimension < 1 or flat.size % (dimension + 1):
        sys.exit(f"{path}: not .fvecs: the first vector says that it has {dimension} components")
    return np.ascontiguousarray(flat.reshape(-1, dimension + 1)[:, 1:]).view(np.float32)


def cpu_seconds():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def resident_bytes():
    with open("/proc/self/status", encoding="ascii") as status:
        for line in status:
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * 1024
    return 0


def unit(a):
    return a / np.maximum(np.linalg.norm(a, axis=1, keepdims=True), 1e-30)


def scores_of(space, base, query, rows):
    """The higher the nearer; in float64, so that what is right does not hang on how a sum is rounded."""
    some = base[rows].astype(np.float64)
    if space == "l2":
        return -((some - query.astype(np.float64)) ** 2).sum(axis=1)
    return some @ query.astype(np.float64)


def least_scores(space, base, queries, k):
    """The score of the k-th nearest of each query, less what rounding may make of it."""
    least = np.empty(len(queries))
    norms = (base.astype(np.float64) ** 2).sum(axis=1) if space == "l2" else 0
    for begin in range(0, len(queries), 64):
        part = queries[begin : begin + 64]
        rough = part @ base.T
        if space == "l2":
            rough = 2 * rough - norms
        near = np.argpartition(-rough, 4 * k, axis=1)[:, : 4 * k]
        for i, rows in enumerate(near):
            least[begin + i] = np.sort(scores_of(space, base, part[i], rows))[-k]
    return least - 1e-9 * np.abs(least)


def build(args, base, ef_construction, threads):
    index = hnswlib.Index(space="l2" if args.metric == "l2" else "ip", dim=base.shape[1])
    before = resident_bytes()
    index.init_index(max_elements=len(base), ef_construction=ef_construction, M=args.m, random_seed=100)
    start, cpu = time.perf_counter(), cpu_seconds()
    index.add_items(base, np.arange(len(base)), num_threads=threads)
    took, used = time.perf_counter() - start, cpu_seconds() - cpu
    index.set_num_threads(1)
    return index, {
        "ef_construction": ef_construction,
        "threads": threads,
        "inserts_per_second": len(base) / took,
        "cpu_us": used / len(base) * 1e6,
        "bytes_a_vector": (resident_bytes() - before) / len(base),
    }


def sweep(args, index, base, queries, least, ef):
    index.set_ef(max(ef, args.k))
    took, right = [], 0
    for i, query in enumerate(queries):
        start = time.perf_counter()
        labels, _ = index.knn_query(query, k=args.k, num_threads=1)
        took.append((time.perf_counter() - start) * 1e6)
        right += int((scores_of(args.metric, base, query, labels[0]) >= least[i]).sum())
    return {
        "ef": ef,
        "right": right / (args.k * len(queries)),
        "p50_us": float(np.percentile(took, 50)),
        "p99_us": float(np.percentile(took, 99)),
        "n": len(took),
    }


def numbers(text):
    return [int(part) for part in text.split(",")]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("base", help=".fvecs: what is inserted")
    parser.add_argument("queries", help=".fvecs: what is asked for")
    parser.add_argument("--metric", choices=["l2", "cosine"], default="cosine")
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--m", type=int, default=16)
    parser.add_argument("--ef-construction", type=numbers, default=[100, 200])
    parser.add_argument("--threads", type=numbers, default=[1, 2])
    parser.add_argument("--ef", type=numbers, default=[10, 20, 40, 80, 160, 320])
    args = parser.parse_args()
    base, queries = read_fvecs(args.base), read_fvecs(args.queries)
    if args.metric == "cosine":
        base, queries = unit(base), unit(queries)
    least = least_scores(args.metric, base, queries, args.k)
    builds = []
    for ef_construction in args.ef_construction:
        for threads in args.threads:
            index, built = build(args, base, ef_construction, threads)
            built["searches"] = [sweep(args, index, base, queries, least, ef) for ef in args.ef]
            builds.append(built)
    json.dump({"library": f"hnswlib {importlib.metadata.version('hnswlib')}", "m": args.m, "k": args.k, "builds": builds}, sys.stdout)


if __name__ == "__main__":
    main()
