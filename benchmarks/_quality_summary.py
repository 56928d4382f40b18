"""From results to the summary: ranks, paired differences, and whether the goals are reached.

Ranks are taken within a cell, over cells where all compared methods gave an answer: without our other methods, which
are members of the one that is judged and so close to it, and without peers that do not run everywhere. Differences are
relative to the other method, averaged within a data set first; the standard error is that over data sets.
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from _quality_data import SETS
from _quality_methods import LIMITS, OURS
from _quality_scores import FORESTS

__all__ = ["CELL", "GROUPS", "Goal", "goals", "log_losses", "mean_ranks", "ranked_methods", "reference_of", "summary"]

CELL = ["set", "model", "seed", "n_cal"]
AUTO, SMS, TEMPERATURE, SIGMOID = "auto", "probmetrics-sms", "sklearn-temperature", "sklearn-sigmoid"
# A cell that is so much worse than plain temperature scaling is one in which a user regrets the default.
REGRET = 0.03
# A method that fails in more cells takes no part in ranks; in fewer, those cells do not.
MIN_SHARE = 0.95
UNSHIFTED = "without shifted test rows"
GROUPS = ("all", "without forests", "forests", UNSHIFTED, "without both")


class Goal(NamedTuple):
    """One goal, what was measured, and whether it is reached (None: not measured)."""

    goal: str
    target: str
    measured: str
    reached: bool | None


def reference_of(results: pd.DataFrame) -> str:
    """Return the method that the others are compared with: ours, or while it is absent the strongest peer."""
    return AUTO if AUTO in set(results["method"]) else SMS


def ranked_methods(results: pd.DataFrame) -> list[str]:
    """Return the methods that take part in ranks."""
    shares = log_losses(results).notna().mean()
    return [m for m in shares.index if m == AUTO or (m not in OURS and m not in LIMITS and shares[m] >= MIN_SHARE)]


def wide(results: pd.DataFrame, measure: str) -> pd.DataFrame:
    """Return one row a cell and one column a method."""
    table = results.pivot_table(index=CELL, columns="method", values=measure, aggfunc="last")
    return table.reindex(columns=results["method"].unique())


def log_losses(results: pd.DataFrame) -> pd.DataFrame:
    """Return the log losses, one row a cell and one column a method."""
    return wide(results, "log_loss")


def mean_ranks(results: pd.DataFrame, measure: str) -> tuple[pd.DataFrame, pd.Series]:
    """Return mean ranks, best first, by number of rows and by group; and the number of cells behind each."""
    ranks = wide(results, measure)[ranked_methods(results)].dropna().rank(axis=1)
    means, n_cells = ranks.groupby("n_cal").mean().T, ranks.groupby("n_cal").size()
    for group in GROUPS:
        cells = ranks[in_group(ranks, group)]
        means[group], n_cells[group] = cells.mean(), len(cells)
    return means.sort_values("all"), n_cells


def in_group(table: pd.DataFrame, group: str) -> Any:
    """Return which cells belong to a group."""
    forest = table.index.get_level_values("model").isin(FORESTS)
    shifted = table.index.get_level_values("set").isin([name for name, data in SETS.items() if data.shifted])
    kept = (np.ones(len(table), bool), ~forest, forest, ~shifted, ~(forest | shifted))
    return dict(zip(GROUPS, kept, strict=True))[group]


def difference(table: pd.DataFrame, ours: str, peer: str, kept: Any = slice(None)) -> dict[str, float]:
    """Return by how much the log loss of ours is below a peer's, as a mean over data sets, and how sure that is."""
    if not {ours, peer} <= set(table):
        return {"mean": np.nan, "se": np.nan, "better": np.nan, "n_cells": 0}
    pair = table.loc[kept, [ours, peer]].dropna()
    below = 1.0 - pair[ours] / pair[peer]
    by_set = below.groupby("set").mean()
    return {"mean": by_set.mean(), "se": by_set.sem(), "better": (below > 0).mean(), "n_cells": len(pair)}


def at_size(table: pd.DataFrame, keep: Callable[[Any], Any], group: str = "all") -> Any:
    """Return the cells of a group whose number of rows is wanted."""
    return keep(table.index.get_level_values("n_cal")) & in_group(table, group)


def goals(results: pd.DataFrame, timed: list[dict[str, Any]]) -> list[Goal]:
    """Return all goals."""
    table = log_losses(results)
    found = [*_rank_goals(results), *_difference_goals(table), *_regret_goals(table), _rare_goal(results)]
    for measure, name in (("brier", "Brier score"), ("classwise", "classwise error")):
        ranks = mean_ranks(results, measure)[0]["all"]
        found.append(_first(f"mean rank on {name}", ranks, lead=0.0))
    found += [
        _time_goal("fit time / SMS, 5000 rows, K <= 30", 1.5, [t for t in timed if t["n_classes"] <= 30]),
        _time_goal("fit time / SMS, 5000 rows, K = 151", 4.0, [t for t in timed if t["n_classes"] == 151]),
    ]
    return found


def _rank_goals(results: pd.DataFrame) -> list[Goal]:
    ranks = mean_ranks(results, "log_loss")[0]
    return [_first(f"mean log-loss rank, {n} rows", ranks[n], lead=0.5) for n in ranks if n not in GROUPS]


def _first(goal: str, ranks: pd.Series, lead: float) -> Goal:
    target = f"first, {lead:g} ahead" if lead else "first"
    if AUTO not in ranks or len(ranks) < 2:
        return Goal(goal, target, "-", None)
    next_one = ranks.drop(AUTO).sort_values()
    ahead = next_one.iloc[0] - ranks[AUTO]
    measured = f"{ranks[AUTO]:.2f}, next {next_one.index[0]} {next_one.iloc[0]:.2f}: {ahead:+.2f}"
    return Goal(goal, target, measured, bool(ahead > 0 and ahead >= lead))


def _difference_goals(table: pd.DataFrame) -> list[Goal]:
    wanted = [
        ("log loss below sklearn sigmoid, 200 rows", SIGMOID, at_size(table, lambda n: n == 200), 10),
        ("log loss below sklearn temperature, 1000 rows", TEMPERATURE, at_size(table, lambda n: n == 1000), 6),
        ("log loss below SMS, >= 1000 rows", SMS, at_size(table, lambda n: n >= 1000), 2),
        ("the same without forests", SMS, at_size(table, lambda n: n >= 1000, GROUPS[1]), 1),
    ]
    found = []
    for goal, peer, kept, target in wanted:
        d = difference(table, AUTO, peer, kept)
        measured = f"{_percent(d)}, better in {d['better']:.0%} of {d['n_cells']} cells" if d["n_cells"] else "-"
        reached = bool(100 * d["mean"] >= target) if d["n_cells"] else None
        found.append(Goal(goal, f">= {target} %", measured, reached))
    return found


def _percent(d: dict[str, float]) -> str:
    if not d["n_cells"]:
        return "-"
    return f"{100 * d['mean']:.1f} %" + (f" (se {100 * d['se']:.1f})" if np.isfinite(d["se"]) else "")


def _regret_goals(table: pd.DataFrame) -> list[Goal]:
    names = ("data sets with more log loss than temperature", f"cells over {REGRET:.0%} worse than temperature")
    if not {AUTO, TEMPERATURE} <= set(table):
        return [Goal(names[0], "0", "-", None), Goal(names[1], "<= 5 %", "-", None)]
    pair = table[[AUTO, TEMPERATURE]].dropna()
    by_set = pair.groupby("set").mean()
    worse = list(by_set.index[by_set[AUTO] > by_set[TEMPERATURE]])
    regret = pair[AUTO] > (1.0 + REGRET) * pair[TEMPERATURE]
    where = ", ".join(f"{name} {n}" for name, n in regret[regret].groupby("set").size().items())
    return [
        Goal(names[0], "0", f"{len(worse)} of {len(by_set)}" + (f": {', '.join(worse)}" if worse else ""), not worse),
        Goal(
            names[1],
            "<= 5 %",
            f"{regret.mean():.1%} of {len(pair)}" + (f": {where}" if where else ""),
            bool(regret.mean() <= 0.05),
        ),
    ]


def _rare_goal(results: pd.DataFrame) -> Goal:
    goal, target = "top-label error of a rare class, 5000 rows", "<= half of temperature's"
    table = wide(results[results["n_cal"] == 5000], "rare_top_label")
    if not {AUTO, TEMPERATURE} <= set(table):
        return Goal(goal, target, "-", None)
    pair = table[[AUTO, TEMPERATURE]].dropna()
    means = {group: pair[in_group(pair, group)].mean() for group in GROUPS}
    # Judged where calibration and test rows have one source: rows of another kind are beyond every calibrator.
    ours, peer = means[UNSHIFTED]
    rest = "; ".join(
        f"{group} {mean[AUTO]:.3f} against {mean[TEMPERATURE]:.3f}"
        for group, mean in means.items()
        if group != UNSHIFTED
    )
    measured = f"{UNSHIFTED} {ours:.3f} against {peer:.3f}: {ours / peer:.2f} of it ({rest})"
    return Goal(goal, target, measured, bool(ours <= peer / 2))


def _time_goal(goal: str, target: float, timed: list[dict[str, Any]]) -> Goal:
    if not timed:
        return Goal(goal, f"< {target:g}", "-", None)
    by_classes = pd.DataFrame(timed).groupby("n_classes")[["ours", "peer"]].sum()
    ratios = (by_classes["ours"] / by_classes["peer"]).to_dict()
    measured = ", ".join(f"K={k} {ratio:.2f}" for k, ratio in ratios.items())
    return Goal(goal, f"< {target:g}", measured, bool(max(ratios.values()) < target))


def summary(results: pd.DataFrame, timed: list[dict[str, Any]]) -> str:
    """Return the summary as Markdown."""
    reference, table = reference_of(results), log_losses(results)
    parts = [
        "## Goals",
        _markdown(
            ["goal", "target", "measured", "reached"],
            (
                [*goal[:3], {True: "yes", False: "**no**", None: "not measured"}[goal.reached]]
                for goal in goals(results, timed)
            ),
        ),
        "## Mean ranks",
        _ranks_text(results),
        f"## Log loss of {reference} below that of others",
        _differences_text(table, reference),
        "## Calibration errors",
        _errors_text(results),
        "## Data sets",
        _sets_text(table, reference),
        "## Fit time and failures",
        _costs_text(results, timed),
    ]
    return "\n\n".join(parts) + "\n"


def _ranks_text(results: pd.DataFrame) -> str:
    ranks, n_cells = mean_ranks(results, "log_loss")
    others = {name: mean_ranks(results, name)[0]["all"] for name in ("brier", "classwise", "ece")}
    head = ["method", *(f"{n} rows" if n not in GROUPS else n for n in ranks), *(f"{name}, all" for name in others)]
    rows = [
        [method, *(f"{rank:.2f}" for rank in row), *(f"{other[method]:.2f}" for other in others.values())]
        for method, row in ranks.iterrows()
    ]
    left_out = wide(results, "log_loss")[list(ranks.index)].isna().any(axis=1).sum()
    text = _markdown(head, [*rows, ["cells", *(str(n) for n in n_cells), *("" for _ in others)]])
    return f"{text}\n\nOn the log loss where nothing else is said. Cells left out for a failed method: {left_out}."


def _differences_text(table: pd.DataFrame, reference: str) -> str:
    sizes = sorted(table.index.get_level_values("n_cal").unique())
    rows = []
    wholes = {peer: difference(table, reference, peer) for peer in table if peer != reference}
    for peer, whole in sorted(wholes.items(), key=lambda item: item[1]["mean"]):
        cells = [difference(table, reference, peer, at_size(table, lambda n, size=size: n == size)) for size in sizes]
        groups = [difference(table, reference, peer, in_group(table, group)) for group in GROUPS]
        rows.append([peer, *(_percent(d) for d in (*cells, *groups)), f"{whole['better']:.0%}", str(whole["n_cells"])])
    head = ["than", *(f"{n} rows" for n in sizes), *GROUPS, "better in", "cells"]
    limits = "; ".join(f"{name}: at most {k} classes and {n} rows" for name, (k, n) in LIMITS.items())
    return _markdown(head, rows) + f"\n\nMean over data sets, with its standard error. Too slow for more: {limits}."


def _errors_text(results: pd.DataFrame) -> str:
    names = {"ece": "top-label", "classwise": "classwise", "rare_top_label": "top-label, rarest class"}
    order = [*mean_ranks(results, "log_loss")[0].index]
    order += [method for method in results["method"].unique() if method in OURS and method not in order]
    rows = []
    # A rare class may be predicted often enough by some methods only: cells where all have a figure.
    means = {name: wide(results, name)[order].dropna().groupby("n_cal").mean() for name in names}
    for method in order:
        rows.append([method, *(" ".join(f"{value:.3f}" for value in mean[method]) for mean in means.values())])
    sizes = " / ".join(str(n) for n in sorted(results["n_cal"].unique()))
    return _markdown(["method", *names.values()], rows) + f"\n\nEach with {sizes} rows, mean over cells."


def _sets_text(table: pd.DataFrame, reference: str) -> str:
    names = [m for m in ("none", SIGMOID, TEMPERATURE, "betacal", "probmetrics-svs", SMS, AUTO) if m in table]
    means = table[names].groupby(["set", "n_cal"]).mean()
    rows = []
    for name, n in sorted(means.index, key=lambda key: (list(SETS).index(key[0]), key[1])):
        values = means.loc[(name, n)]
        best = values.min()
        rows.append([name, str(n), *(f"**{v:.4f}**" if v == best else f"{v:.4f}" for v in values)])
    return _markdown(["log loss", "rows", *names], rows) + "\n\nMean over models and seeds."


def _costs_text(results: pd.DataFrame, timed: list[dict[str, Any]]) -> str:
    ratios = _markdown(
        ["classes", "cell", f"{AUTO}, s", f"{SMS}, s", "ratio"],
        (
            [str(t["n_classes"]), t["cell"], f"{t['ours']:.3f}", f"{t['peer']:.3f}", f"{t['ours'] / t['peer']:.2f}"]
            for t in timed
        ),
    )
    most = results.groupby("method")["fit_seconds"].agg(["median", "max"]).sort_values("median")
    seconds = ", ".join(f"{method} {row['median']:.3f} ({row['max']:.1f})" for method, row in most.iterrows())
    failed = results[results["failure"] != ""].groupby(["method", "failure"]).size()
    failures = "; ".join(f"{method}, {n} cells: {why}" for (method, why), n in failed.items()) or "none"
    return (
        f"{ratios}\n\nTaken turn by turn in this run. Seconds a fit, median and most over cells, when the results "
        f"were made: {seconds}.\n\nFailures: {failures}."
    )


def _markdown(head: list[str], rows: Iterable[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
