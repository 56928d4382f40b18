"""The page and the plot of the benchmark of calibration quality."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from _quality_methods import OURS
from _quality_summary import GROUPS, log_losses, mean_ranks, reference_of

__all__ = ["write_page", "write_plot"]

OURS_COLOUR, PEER_COLOUR = "#c8501e", "#3b6ea5"
SIZE_COLOURS = ("#9ecae1", "#4292c6", "#084594")
# Percent. More is drawn at the edge: a method that writes zeros is worse by any factor. The axis is stretched where the
# good methods are, around 0.
MOST, STRETCHED = 300.0, 4.0
TICKS = (-20, -10, -5, -2, 0, 2, 5, 10, 20, 40, 100, 300)


def write_page(path: Path, text: str, machine: dict[str, Any], *, quick: bool, absent: list[str]) -> None:
    """Write the page."""
    versions = ", ".join(f"{name} {version or 'absent'}" for name, version in machine["versions"].items())
    lines = [
        "# Calibration quality",
        "Written by `benchmarks/bench_calibration_quality.py" + (" --quick" if quick else "") + "`, which says how it "
        "is measured. Lower is better everywhere.",
        "![Mean ranks, and log loss against the default](calibration_quality.png)",
        text.rstrip(),
        f"Python {machine['python']}, {versions}; {machine['processor']}, {machine['n_cpus']} CPUs."
        + (f" Not there: {', '.join(absent)}." if absent else ""),
    ]
    path.write_text("\n\n".join(lines) + "\n", encoding="utf-8")


def write_plot(path: Path, results: pd.DataFrame) -> None:
    """Draw mean ranks by number of rows, and the ratio of log losses to that of the default by data set."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    with plt.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
        figure, axes = plt.subplots(1, 2, figsize=(11.5, 4.8), width_ratios=(1, 1.25), layout="constrained")
        draw_ranks(axes[0], results)
        draw_ratios(axes[1], results)
        figure.savefig(path, dpi=150)
        plt.close(figure)


def draw_ranks(axis: Any, results: pd.DataFrame) -> None:
    """Draw one line a method: its mean ranks."""
    ranks, n_cells = mean_ranks(results, "log_loss")
    places = np.arange(len(ranks))[::-1]
    sizes = [n for n in ranks if n not in GROUPS]
    axis.hlines(places, ranks[sizes].min(axis=1), ranks[sizes].max(axis=1), color="0.85", lw=3, zorder=1)
    for n, colour in zip(sizes, SIZE_COLOURS, strict=False):
        axis.scatter(ranks[n], places, color=colour, s=42, zorder=2, label=f"{n} rows ({n_cells[n]} cells)")
    name_rows(axis, ranks.index, places)
    axis.set(xlabel="mean rank of the log loss (1 is best)", title="Rank among methods that run everywhere")
    axis.set_xlim(0.5, len(ranks) + 0.5)
    axis.legend(title="to calibrate with", loc="lower left", frameon=False)


def draw_ratios(axis: Any, results: pd.DataFrame) -> None:
    """Draw one line a method: for every data set, the geometric mean of its ratios to the default."""
    table, reference = log_losses(results), reference_of(results)
    ratios = np.log(table.drop(columns=reference).div(table[reference], axis=0)).groupby("set").mean()
    names = ratios.mean().sort_values().index
    places = np.arange(len(names))[::-1]
    axis.axvline(0.0, color=OURS_COLOUR if reference in OURS else PEER_COLOUR, lw=1.2, zorder=1)
    for name, place in zip(names, places, strict=True):
        logs = ratios[name].dropna()
        percent = (100.0 * np.expm1(logs)).clip(upper=MOST)
        colour = OURS_COLOUR if name in OURS else PEER_COLOUR
        axis.hlines(place, *np.quantile(percent, [0.25, 0.75]), color=colour, lw=5, alpha=0.25, zorder=1)
        axis.scatter(percent, np.full(len(percent), place), color=colour, s=14, alpha=0.5, lw=0, zorder=2)
        mean = min(100.0 * np.expm1(logs.mean()), MOST)
        axis.scatter(mean, place, color=colour, marker="|", s=170, lw=2.2, zorder=3)
    name_rows(axis, names, places)
    axis.set_xscale("asinh", linear_width=STRETCHED)
    axis.set_xticks(TICKS, [f"{tick:+d} %" if tick else "0" for tick in TICKS[:-1]] + [f"{MOST:+.0f} %\nor more"])
    axis.tick_params(axis="x", labelsize=7.5)
    axis.minorticks_off()
    axis.set_xlabel(f"log loss above that of {reference}\ndots: data sets; bar: their middle half; tick: their mean")
    axis.set_title(f"Log loss against {reference}: right of the line is worse")


def name_rows(axis: Any, names: Any, places: Any) -> None:
    """Write the methods at the left, ours in their own colour."""
    axis.set_yticks(places, names)
    for label in axis.get_yticklabels():
        label.set_color(OURS_COLOUR if label.get_text() in OURS else "0.15")
    axis.tick_params(axis="y", length=0)
    axis.grid(axis="x", color="0.92", zorder=0)
    axis.set_axisbelow(True)
