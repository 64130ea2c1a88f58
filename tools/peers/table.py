"""Prints what engram and hnswlib have measured side by side: a line a build, and a line a search."""

import json
import sys


def rows(path):
    with open(path, encoding="utf-8") as file:
        report = json.load(file)
    if "library" in report:
        for b in report["builds"]:
            yield report["library"], b["ef_construction"], "", b["threads"], b["inserts_per_second"], b["cpu_us"], b["bytes_a_vector"], [
                (s["ef"], s["right"], s["p50_us"], s["p99_us"]) for s in b["searches"]
            ]
        return
    for b in report["builds"]:
        yield f"engram {report['machine']['kernels']}", b["ef_construction_at_the_end"], b["batch"], report["workers"], b["inserts_per_second"], (
            b["cpu_us"] + report["encode_cpu_us"]
        ), b["bytes_a_vector"], [
            (s["ef"], s["right"], s["latency"]["p50_us"], s["latency"]["p99_us"]) for s in b["searches"]
        ]


def at_recall(searches, goal):
    """The time of a query at a recall, between the two nearest of the sweep by a straight line; a dash beyond it."""
    for (_, r0, t0, _), (_, r1, t1, _) in zip(searches, searches[1:]):
        if r0 < goal <= r1:
            return f"{t0 + (t1 - t0) * (goal - r0) / (r1 - r0):.0f}"
    return f"<{searches[0][2]:.0f}" if searches[0][1] >= goal else "-"


def main():
    goals = (0.95, 0.98, 0.99)
    builds = [row for path in sys.argv[1:] for row in rows(path)]
    line = "| {:<14} | {:>4} | {:>6} | {:>7} | {:>10} | {:>8} | {:>10} | {:>10} | {:>9} | {:>9} | {:>9} |"
    print(line.format("library", "efC", "batch", "threads", "inserts/s", "a core", "CPU µs", "bytes/vec", *(f"µs @{g}" for g in goals)))
    print("|" + " --- |" * 11)
    for name, ef, batch, threads, rate, cpu, size, searches in builds:
        per_core = 1e6 / cpu
        print(line.format(name, ef, batch, threads, f"{rate:.0f}", f"{per_core:.0f}", f"{cpu:.1f}", f"{size:.0f}", *(at_recall(searches, g) for g in goals)))
    print()
    line = "| {:<14} | {:>4} | {:>6} | {:>7} | {:>4} | {:>6} | {:>7} | {:>7} |"
    print(line.format("library", "efC", "batch", "threads", "ef", "recall", "p50 µs", "p99 µs"))
    print("|" + " --- |" * 8)
    for name, ef, batch, threads, _, _, _, searches in builds:
        for at, right, p50, p99 in searches:
            print(line.format(name, ef, batch, threads, at, f"{right:.4f}", f"{p50:.0f}", f"{p99:.0f}"))


if __name__ == "__main__":
    main()
