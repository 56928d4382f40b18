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
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from threadpoolctl import threadpool_info

import skroute

__all__ = [
    "PINS",
    "compare",
    "environment",
    "lines",
    "optional",
    "parser",
    "peak_memory",
    "ratio",
    "reached",
    "repeated",
    "report",
    "rounds",
    "timed",
]

Call = Callable[[], Any]
# One thread for linear algebra, whatever library does it: threads that wait for each other on a busy machine slow peers
# down by any factor.
PINS = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def rounds(calls: dict[str, Call], n_rounds: int) -> dict[str, list[float]]:
    """Return the seconds of every call in every round.

    All calls run once in each round, in an order that turns, so that a busy neighbour slows all of them alike; ratios
    are taken within a round. There are at least `n_rounds`, and so many that each call takes every place in the order
    as often: what ran before may leave memory that is quicker to get. One round ahead, not counted, fills caches and
    loads what is imported late.
    """
    n_rounds = -(-n_rounds // len(calls)) * len(calls)
    for call in calls.values():
        call()
    # What is loaded by now need not be looked through before every call.
    gc.collect()
    gc.freeze()
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(n_rounds):
        names = list(calls)
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            gc.collect()
            start = time.perf_counter()
            calls[name]()
            seconds[name].append(time.perf_counter() - start)
    gc.unfreeze()
    return seconds


def repeated(call: Call, times: int) -> Callable[[], None]:
    """Return a call that makes a short one so many times, to be told as one of them by `repeats` of `timed`."""

    def calls() -> None:
        for _ in range(times):
            call()

    return calls


def ratio(slow: list[float], fast: list[float]) -> dict[str, float]:
    """Return how many times faster: the ratio of the medians, and the least and largest ratio within a round."""
    within = [a / b for a, b in zip(slow, fast, strict=True)]
    return {"ratio": statistics.median(slow) / statistics.median(fast), "least": min(within), "largest": max(within)}


def peak_memory(call: Call, *, beyond_result: bool = False) -> float:
    """Return the most memory that was held at once beyond what was held before (and the result), in megabytes."""
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    tracemalloc.reset_peak()
    result = call()
    peak = tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()
    return (peak - (result.nbytes if beyond_result else 0)) / 1e6


def timed(
    case: str,
    ours: list[float],
    peer: list[float],
    *,
    goal: float | None = None,
    stretch: float | None = None,
    at_most: bool = False,
    ours_mb: float | None = None,
    peer_mb: float | None = None,
    goal_mb: float | None = None,
    repeats: int = 1,
) -> dict[str, Any]:
    """Return one line of the result: how many times faster we are, or with `at_most` how many times as long we take.

    `stretch` is a goal beyond the goal, and `goal_mb` one for the memory. A call that holds `repeats` of what is
    measured is told as one of them.
    """
    times = ratio(ours, peer) if at_most else ratio(peer, ours)
    return {
        "case": case,
        **times,
        "at_most": at_most,
        "goal": goal,
        "stretch": stretch,
        "ours_ms": 1e3 * statistics.median(ours) / repeats,
        "peer_ms": 1e3 * statistics.median(peer) / repeats,
        "ours_mb": ours_mb,
        "peer_mb": peer_mb,
        "goal_mb": goal_mb,
    }


def compare(
    case: str,
    ours: Call,
    peers: Mapping[str, Call],
    n_rounds: int,
    *,
    goals: Mapping[str, float] | None = None,
    stretch: float | None = None,
    goal_mb: float | None = None,
    beyond_result: bool = False,
    repeats: int = 1,
) -> list[dict[str, Any]]:
    """Return one line for each peer, all timed together; peers that `goals` does not name have none."""
    seconds = rounds({"ours": ours, **peers}, n_rounds)
    goals = goals or {}
    ours_mb = peak_memory(ours, beyond_result=beyond_result)
    return [
        timed(
            f"{case} / {name}",
            seconds["ours"],
            seconds[name],
            goal=goals.get(name),
            stretch=stretch if name in goals else None,
            ours_mb=ours_mb,
            peer_mb=peak_memory(peer, beyond_result=beyond_result),
            goal_mb=goal_mb if name in goals else None,
            repeats=repeats,
        )
        for name, peer in peers.items()
    ]


def optional(name: str) -> Any:
    """Return a module, or None where it (or something that it needs) is absent."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def environment(*packages: str) -> dict[str, Any]:
    """Return machine, thread settings and versions; None for a package that is absent."""
    versions: dict[str, str | None] = {"skroute": skroute.__version__}
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
        "threads": {name: os.environ.get(name) for name in PINS},
        # Asked of the libraries themselves: a variable that came too late would have no effect.
        "most_threads": max((pool["num_threads"] for pool in threadpool_info()), default=1),
        # NumPy sorts several times slower with AVX-512 than without on some processors, and much here is told in sorts.
        "numpy_simd": np.show_config(mode="dicts")["SIMD Extensions"]["found"],
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


def reached(case: Mapping[str, Any]) -> bool | None:
    """Tell whether a line's goals for time and memory are reached; None where there are none."""
    met = []
    if case["goal"] is not None:
        met.append(case["ratio"] <= case["goal"] if case["at_most"] else case["ratio"] >= case["goal"])
    if case["goal_mb"] is not None:
        met.append(case["ours_mb"] <= case["goal_mb"])
    return all(met) if met else None


def lines(cases: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, ...]]:
    """Yield the lines as texts: case, ratio, least and largest, goals, ours and peer's in ms and in MB; missed: a *."""
    for case in cases:
        digits = 2 if max(case["ratio"], case["goal"] or 0.0) < 3 else 1
        goal = "" if case["goal"] is None else ("<= " if case["at_most"] else ">= ") + f"{case['goal']:g}"
        if case["stretch"] is not None:
            goal += f" ({case['stretch']:g})"
        memory = "" if case["goal_mb"] is None else f"<= {case['goal_mb']:.3g} MB"
        yield (
            case["case"] + (" *" if reached(case) is False else ""),
            f"{case['ratio']:.{digits}f}",
            f"{case['least']:.{digits}f}-{case['largest']:.{digits}f}",
            ", ".join(part for part in (goal, memory) if part),
            *("" if case[name] is None else f"{case[name]:.4g}" for name in ("ours_ms", "peer_ms")),
            *("" if case[name] is None else f"{case[name]:.1f}" for name in ("ours_mb", "peer_mb")),
        )


def report(cases: list[dict[str, Any]], machine: dict[str, Any], *, as_json: bool) -> None:
    """Print the cases as tables or, with the machine, as JSON lines."""
    if as_json:
        for line in (machine, *cases):
            print(json.dumps(line))
        return
    for at_most, title in ((False, "times faster"), (True, "times as long")):
        found = list(lines(case for case in cases if case["at_most"] == at_most))
        if found:
            rows = [("case", title, "least-largest", "goal", "ours ms", "peer ms", "MB", "peer MB"), *found]
            widths = [max(len(row[i]) for row in rows) + 2 for i in range(len(rows[0]))]
            for name, *rest in rows:
                print(name.ljust(widths[0]) + "".join(f"{part:>{w}}" for part, w in zip(rest, widths[1:], strict=True)))
            print()
    print("* goal not reached")
    versions = ", ".join(f"{name} {version or 'absent'}" for name, version in machine["versions"].items())
    print(f"Python {machine['python']}, {versions}; {machine['processor']}, {machine['n_cpus']} CPUs")
