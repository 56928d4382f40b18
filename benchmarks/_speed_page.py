"""The page and the plot of the benchmarks of speed."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from _common import lines, reached

__all__ = ["table", "write_page", "write_plot"]

OURS_COLOUR, PEER_COLOUR = "#c8501e", "#3b6ea5"
MARKS = {True: "reached", False: "**no**", None: ""}
HEADS = {
    False: ("case / peer", "times faster", "least-largest", "goal", "reached", "ours ms", "peer ms", "MB", "peer MB"),
    True: ("case / unit", "times as long", "least-largest", "goal", "reached", "ours ms", "unit ms", "MB", "unit MB"),
}
READING = """\
**Ratios** are those of medians, from at least {n_rounds} rounds in which all peers take turns; the least and the
largest ratio within a round stand beside them. Linear algebra runs in one thread. Only ratios mean anything: the
machine is shared. What takes no more than a few milliseconds (gates of few rows, tables, isotonic fits of 100,000
rows) is timed several times at once, ours and the peers alike.

**Words.** Gates turn probabilities into routes. To calibrate is to predict with a fitted calibrator. "Shrunk" isotonic
curves are held back towards what was believed before; "sweep" and "certificates" are the search for thresholds.

**Peers.** "By hand" is what one would write with NumPy and SciPy, without any check of the input. "Plain gates" are
gates by hand: argmax and np.partition, and the entropy by np.log or by scipy.special.entr. "Plain code of the
library" is the definition that the fast gates must equal; it checks its rows, as they do. "One read" is the sum of
the matrix: it tells how near the gates are to what the memory allows. "Their check alone" is that part of the gates
which refuses rows that are no probabilities.

**Goals** were set by prototypes on another machine, and one in brackets is to stretch for. Those of the gates are for
float64 in C order; float32 (f4) and columns in one piece (F-order) stand beside. They are for routes as codes, ours and
those of the peers, as in the study that set them; with text, of 32 bytes a row, both stand beside. Gates of few rows
are to be no slower than the plain code of the library. A goal for memory is judged by the column MB.

**MB** is the most that is held at once beyond the inputs; for gates and calibration beyond the result too, which
growth counts. The 5 MB that gates keep for the next call, in each thread that calls them, are not counted.

**Sorts.** On some processors NumPy sorts eight times slower than on others of their age. So goals against peers that
sort, as isotonic fits and the partition of plain gates do, are reached on one processor and missed on another. How
long one sort took stands under the fits of isotonic curves; their knots are the points that such a curve is drawn
through."""
GROWTH = """\
A slope is that of cost against size, both as logarithms. Against rows, 1 is linear growth. Against classes, rows times
classes are held, so that 0 means that a number costs as much whatever the classes are, and less than 0 that it costs
less where they are many."""
# What somebody asks who wants to know whether it is fast enough: where, the start of a case, and in words.
SHORT = (
    ("one_row", "one row, auto", "calibrate by the default method and route one row of 10 classes"),
    ("one_row", "one row, temperature", 'the same by "temperature"'),
    ("gates", "gates with their text, 500000 x 20 f8 C", "route 500,000 rows of 20 probabilities"),
    ("apply", "calibrate, auto (the default), 150000 x 20", "calibrate 150,000 rows of 20 classes, by the default"),
    ("apply", "calibrate and route, temperature, 150000 x 20", 'calibrate by "temperature" and route as many'),
    ("fit", "fit temperature, 100000 x 20", 'fit "temperature" to 100,000 rows of 20 classes'),
    ("fit", "fit auto (the default), 20000 x 20", "fit the default to 20,000 rows of 20 classes"),
    ("fit", "fit all around a classifier of 6000 texts", "fit a RoutingClassifier to 6,000 texts (six fits)"),
    ("reliability", "table of all classes, 1000000 x 20", "a reliability table of 1,000,000 rows of 20 classes"),
    ("search", "search of 64 policies, 20000 x 50", "search 64 policies around a logistic regression, 20,000 x 50"),
    ("import", "import skroute", "import skroute, in a new process"),
)
QUICK = "From a quick run, on sizes far below those that the goals are for: it shows that all runs, not how fast."


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table in Markdown; numbers to the right."""
    head = list(head)
    body = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in body)


def tables_of(cases: list[Mapping[str, Any]]) -> list[str]:
    """Return one table of times faster and one of times as long, where there are such cases."""
    found = []
    for at_most, head in HEADS.items():
        some = [case for case in cases if case["at_most"] == at_most]
        rows = []
        for case, (name, times, spread, goal, *rest) in zip(some, lines(some), strict=True):
            rows.append((name.removesuffix(" *"), times, spread, goal, MARKS[reached(case)], *rest))
        if rows:
            found.append(table(head, rows))
    return found


def growth_table(cases: list[Mapping[str, Any]]) -> str:
    """Return the slopes and the largest sizes."""
    head = ("work", "whose", "against", "slope of time", "slope of memory", "largest", "ms", "MB")
    rows = [
        (line["growth"], line["whose"], line["against"], f"{line['slope']:.2f}", f"{line['slope_mb']:.2f}",
         f"{line['n'][-1]} x {line['k'][-1]}", f"{line['ms'][-1]:.4g}", f"{line['mb'][-1]:.1f}")
        for line in cases
    ]  # fmt: skip
    return table(head, rows)


def in_short(results: Mapping[str, Any]) -> str:
    """Return a few times in milliseconds, ours and those of the first peer of each case."""
    rows = []
    for name, start, words in SHORT:
        case = next((c for c in results.get(name, {"cases": []})["cases"] if c.get("case", "").startswith(start)), None)
        if case is not None:
            ours, theirs = (f"{ms:,.0f}" if ms >= 100.0 else f"{ms:.3g}" for ms in (case["ours_ms"], case["peer_ms"]))
            rows.append((words, ours, case["case"].split(" / ")[1], theirs))
    return table(("what", "skroute, ms", "peer", "its ms"), rows)


def missed(results: Mapping[str, Any]) -> str:
    """Return how many goals are reached, and a list of those that are not."""
    cases = [case for result in results.values() for case in result["cases"] if "ratio" in case]
    judged = [case for case in cases if reached(case) is not None]
    short = [case for case in judged if reached(case) is False]
    text = [f"{len(judged) - len(short)} of {len(judged)} goals are reached."]
    if short:
        names = (f"- {name.removesuffix(' *')}: {times} (goal {goal})" for name, times, _, goal, *_ in lines(short))
        text.append("Not reached:\n\n" + "\n".join(names))
    return "\n\n".join(text)


def elsewhere(folder: Path) -> list[str]:
    """Return a section on the runs that were kept beside the last one, as speed-*.json, if there are any."""
    parts = []
    for path in sorted(folder.glob("speed-*.json")):
        results = json.loads(path.read_text(encoding="utf-8"))["results"]
        processor = next(iter(results.values()))["machine"]["processor"]
        parts.append(f"{processor}, an earlier version ([{path.name}]({path.name})): {missed(results)}")
    return ["## Goals on other processors", *parts] if parts else []


def lost(results: Mapping[str, Any]) -> str:
    """Return a list of what the peer does faster, but for what a peer itself is compared in."""
    cases = [case for result in results.values() for case in result["cases"] if "ratio" in case]
    slower = [
        case for case in cases if not case["at_most"] and case["ratio"] < 1.0 and "of scikit-learn" not in case["case"]
    ]
    names = [f"- {name.removesuffix(' *')}: {times} times as fast" for name, times, *_ in lines(slower)]
    growth = results.get("growth", {"cases": []})["cases"]
    by_hand = {(line["growth"], line["against"]): line for line in growth if line["whose"] != "ours"}
    for line in growth:
        other = by_hand.get((line["growth"], line["against"]))
        if line["whose"] == "ours" and other is not None and line["ms"][-1] > other["ms"][-1]:
            size = f"{line['n'][-1]} x {line['k'][-1]}"
            names.append(f"- {line['growth']}, {size} / by hand: {other['ms'][-1] / line['ms'][-1]:.2f} times as fast")
    return "\n".join(names) if names else "In no case of this run."


def write_page(path: Path, results: Mapping[str, Any], *, quick: bool, n_rounds: int) -> None:
    """Write the page."""
    machines = [result["machine"] for result in results.values()]
    versions = {name: version for machine in machines for name, version in machine["versions"].items()}
    parts = [
        "# Speed",
        f"On {machines[0]['processor']}. Written by `python -m benchmarks{' --quick --write' if quick else ''}`; all "
        "figures are in [speed.json](speed.json).",
        *([QUICK] if quick else []),
        "## In short",
        in_short(results),
        "Milliseconds are those of this machine, which others use too; of other machines the ratios below say more.",
        "## How to read the rest",
        READING.format(n_rounds=n_rounds),
        "## Goals",
        missed(results),
        "## Where skroute loses",
        lost(results),
        *elsewhere(path.parent),
    ]
    for name, result in results.items():
        parts += [f"## {name.replace('_', ' ').capitalize()}", f"{result['question']} (`benchmarks/bench_{name}.py`)"]
        if name == "growth":
            parts += ["![Time and memory against rows and classes](speed_growth.png)", GROWTH]
            parts.append(growth_table(result["cases"]))
        else:
            parts += tables_of(result["cases"])
    seconds = sum(result["seconds"] for result in results.values())
    parts.append(
        f"Python {machines[0]['python']}, "
        + ", ".join(f"{name} {version or 'absent'}" for name, version in versions.items())
        + f"; {machines[0]['processor']}, {machines[0]['n_cpus']} CPUs, at most "
        f"{max(machine['most_threads'] for machine in machines)} thread; {seconds / 60:.0f} minutes."
    )
    path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def write_plot(path: Path, cases: list[Mapping[str, Any]]) -> None:
    """Draw time and memory against rows and against classes, ours and what is written by hand."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    works = list(dict.fromkeys(line["growth"] for line in cases))
    shapes = dict(zip(works, ("o", "s", "^"), strict=True))
    with plt.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
        figure, axes = plt.subplots(2, 2, figsize=(11, 7.5), sharex="col", layout="constrained")
        for column, against in enumerate(("rows", "classes")):
            some = [line for line in cases if line["against"] == against]
            for row, (cost, unit) in enumerate((("ms", "milliseconds"), ("mb", "MB"))):
                draw(axes[row, column], some, cost, shapes)
                axes[row, column].set_ylabel(unit)
            n, k = some[0]["n"], some[0]["k"]
            held = f"{k[0]} classes" if against == "rows" else f"{n[0] * k[0]:.1e} numbers in all"
            axes[0, column].set_title(f"Against {against}, {held}")
            axes[1, column].set_xlabel(f"number of {against}")
        axes[0, 0].legend(frameon=False, fontsize=7.5)
        figure.savefig(path, dpi=120)
        plt.close(figure)


def draw(axis: Any, some: list[Mapping[str, Any]], cost: str, shapes: Mapping[str, str]) -> None:
    """Draw one panel."""
    for line in some:
        ours = line["whose"] == "ours"
        axis.loglog(
            line["n" if line["against"] == "rows" else "k"],
            line[cost],
            color=OURS_COLOUR if ours else PEER_COLOUR,
            ls="-" if ours else "--",
            marker=shapes[line["growth"]],
            ms=4,
            lw=1.3,
            label=f"{line['growth']}, {line['whose']} (slope {line['slope']:.2f})",
        )
    axis.grid(color="0.92", zorder=0)
    axis.set_axisbelow(True)
