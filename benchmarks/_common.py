"""Interleaved timing, peak extra memory, and what was measured with: shared by all benchmarks."""

import argparse
import gc
import importlib
import importlib.metadata
import json
import os
import platform
import statistics
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

__all__ = ["environment", "optional", "parser", "peak_memory", "ratio", "report", "rounds"]

Call = Callable[[], Any]


def rounds(calls: dict[str, Call], n_rounds: int) -> dict[str, list[float]]:
    """Return the seconds of every call in every round.

    All calls run once in each round, in an order that turns, so that a busy neighbour slows all of them alike; ratios
    are taken within a round. One round ahead, not counted, fills caches and loads what is imported late.
    """
    for call in calls.values():
        call()
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(n_rounds):
        names = list(calls)
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            gc.collect()
            start = time.perf_counter()
            calls[name]()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def ratio(slow: list[float], fast: list[float]) -> dict[str, float]:
    """Return how many times faster: the ratio of the medians, and the least and largest ratio within a round."""
    within = [a / b for a, b in zip(slow, fast, strict=True)]
    return {"ratio": statistics.median(slow) / statistics.median(fast), "least": min(within), "largest": max(within)}


def peak_memory(call: Call) -> float:
    """Return the most memory that was held at once beyond what was held before, in megabytes."""
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    tracemalloc.reset_peak()
    call()
    peak = tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()
    return peak / 1e6


def optional(name: str) -> Any:
    """Return a module, or None where it (or something that it needs) is absent."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def environment(*packages: str) -> dict[str, Any]:
    """Return machine, thread settings and versions; None for a package that is absent."""
    versions = {}
    for package in ("numpy", "scipy", "scikit-learn", *packages):
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = None
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "processor": _processor(),
        "n_cpus": os.cpu_count(),
        "threads": {name: os.environ.get(name) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")},
        "versions": versions,
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


def parser(description: str | None) -> argparse.ArgumentParser:
    """Return the options that all benchmarks share."""
    options = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--quick", action="store_true", help="small sizes: whether it runs, not how fast")
    options.add_argument("--json", action="store_true", help="print one JSON line a case, and one for the machine")
    options.add_argument("--rounds", type=int, default=5, help="interleaved rounds (default: %(default)s)")
    return options


def report(cases: list[dict[str, Any]], machine: dict[str, Any], *, as_json: bool) -> None:
    """Print the cases as a table or, with the machine, as JSON lines."""
    if as_json:
        for line in (machine, *cases):
            print(json.dumps(line))
        return
    print(f"{'case':<58}{'times faster':>13}{'least-largest':>16}{'goal':>7}{'ours ms':>10}{'MB':>7}{'peer MB':>9}")
    for case in cases:
        spread = f"{case['least']:.1f}-{case['largest']:.1f}"
        goal = f"{case['goal']:g}" + ("" if case["ratio"] >= case["goal"] else " *")
        print(
            f"{case['case']:<58}{case['ratio']:>13.1f}{spread:>16}{goal:>7}{case['ours_ms']:>10.1f}"
            f"{case['ours_mb']:>7.1f}{case['peer_mb']:>9.1f}"
        )
    print("* goal not reached")
    versions = ", ".join(f"{name} {version or 'absent'}" for name, version in machine["versions"].items())
    print(f"Python {machine['python']}, {versions}; {machine['processor']}, {machine['n_cpus']} CPUs")
