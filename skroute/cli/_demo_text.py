"""What ``skroute demo`` prints."""

import sys
from typing import Any, Self

import numpy as np

from skroute._tabular import counted
from skroute.cli._errors import extra
from skroute.cli._read import shortened

__all__ = ["Progress", "show"]

# Of many classes the ones with most rows are shown, and the worst one always.
SHOWN_CLASSES = 15
MOST_NAME = 30
N_STEPS = 4


class Progress:
    """The steps on stderr: with a spinner and the time taken on a terminal, a line each elsewhere."""

    def __init__(self) -> None:
        progress = extra("rich.progress")
        self._console = extra("rich.console").Console(stderr=True)
        self._progress = progress.Progress(
            progress.SpinnerColumn(),
            progress.TextColumn("{task.description}"),
            progress.MofNCompleteColumn(),
            progress.TimeElapsedColumn(),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._task = self._progress.add_task("", total=N_STEPS, completed=-1)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()

    def step(self, description: str) -> None:
        """Begin the next step."""
        self._progress.update(self._task, advance=1, description=description)
        if not self._console.is_terminal:
            print(description, file=sys.stderr)


def show(
    tickets: Any,
    router: Any,
    tables: list[Any],
    policies: dict[str, Any],
    reports: dict[str, Any],
    max_error: float,
    notes: list[str],
) -> None:
    """Print the demonstration."""
    console = extra("rich.console").Console(highlight=False, soft_wrap=True)
    if not console.is_terminal:
        # A pipe or a file has no width of its own, and a table cut to 80 columns would lose its figures.
        console.width = 120
    n_rows, n_classes = len(tickets.labels), len(router.classes_)
    dropped = f" ({tickets.n_dropped} rows without a label left out)" if tickets.n_dropped else ""
    console.print(f"[bold]{_safe(tickets.source)}[/bold]: {n_rows} tickets, {n_classes} classes{dropped}")
    console.print(
        f"{len(tickets.train)} to fit, {len(tickets.tune)} to tune thresholds, {len(tickets.test)} to test. "
        f"Calibration: {router.method}. Accuracy on the test rows: "
        f"{_accuracy(tables[1]):.3f}.\n"
    )
    before, after = ({row["label"]: row for row in table.to_records()} for table in tables)
    worst = [_worst(figures) for figures in (before, after)]
    shown = _shown_classes(before, worst)
    console.print(_reliability(before, after, shown))
    console.print(_worst_text("Before", before, worst[0]))
    console.print(_worst_text("After", after, worst[1]) + "\n")
    console.print(_routes(policies, reports, shown, max_error))
    for name, report in reports.items():
        console.print(
            f"{'One threshold' if name == 'global' else 'Class-specific'}: {report.coverage:.1%} of the test rows "
            f"auto-routed, {_share(report.error[0], 'none')} of them wrong."
        )
    certificates = policies["by class"].certificates_
    console.print(
        f"The one threshold holds {max_error:.0%} on the tuning rows and promises nothing for others. The "
        f"class-specific ones are certified: for each class, with {certificates.confidence:.0%} confidence, at most "
        f"{max_error:.0%} wrong (guarantee: approximate). Rows of a class that are routed elsewhere are not in these "
        "figures; min_recall is for those."
    )
    held = [
        text
        for text, status in zip(certificates.statements(), certificates.status, strict=True)
        if status != "certified"
    ]
    for text in held[:SHOWN_CLASSES]:
        console.print(f"  {_safe(text)}")
    if len(held) > SHOWN_CLASSES:
        console.print(f"  ... and {len(held) - SHOWN_CLASSES} more classes without a certificate.")
    for note in dict.fromkeys(notes):
        console.print(f"[yellow]note:[/yellow] {_safe(note)}")


def _safe(text: str, length: int = 400) -> str:
    escaped: str = extra("rich.markup").escape(shortened(text, length))
    return escaped


def _accuracy(table: Any) -> float:
    return float(table.accuracy[0])


def _share(value: float, nothing: str = "-") -> str:
    return nothing if np.isnan(value) else f"{value:.1%}"


def _worst(figures: dict[Any, Any]) -> dict[str, Any] | None:
    """Return the class that is furthest off among those with enough rows, else among all."""
    classes = [row for label, row in figures.items() if label is not None and row["count"] > 0]
    enough = [row for row in classes if row["verdict"] != "insufficient"]
    return max(enough or classes, key=lambda row: abs(row["gap"]), default=None)


def _worst_text(when: str, figures: dict[Any, Any], row: dict[str, Any] | None) -> str:
    if row is None:
        return f"{when} calibration no class was predicted."
    few = sum(row["verdict"] == "insufficient" for label, row in figures.items() if label is not None)
    text = (
        f"{when} calibration the worst class is [bold]{_safe(str(row['label']), 40)}[/bold]: it says "
        f"{row['confidence']:.2f} and is right {row['accuracy']:.2f} ({row['interval_low']:.2f} to "
        f"{row['interval_high']:.2f}, {row['count']} rows): {row['verdict']}."
    )
    return f"{text} Of {counted(few, 'class', 'classes')} there are too few rows to judge." if few else text


def _shown_classes(figures: dict[Any, Any], worst: list[dict[str, Any] | None]) -> list[Any]:
    labels = sorted((label for label in figures if label is not None), key=lambda label: -figures[label]["count"])
    shown = labels[:SHOWN_CLASSES]
    return shown + [row["label"] for row in worst if row is not None and row["label"] not in shown]


def _table(title: str, columns: list[str]) -> Any:
    table = extra("rich.table").Table(title=title, title_justify="left", box=extra("rich.box").SIMPLE_HEAD)
    # Where the page is narrow, names of classes give way, and figures stay whole.
    table.add_column(columns[0], no_wrap=True, max_width=MOST_NAME)
    for name in columns[1:]:
        table.add_column(name, justify="right", no_wrap=True, min_width=len(name))
    return table


def _add_rows(table: Any, n_classes: int, rows: list[list[str]]) -> Any:
    for row in rows:
        table.add_row(*(extra("rich.text").Text(shortened(cell)) for cell in row))
    hidden = n_classes - (len(rows) - 1)
    if hidden > 0:
        table.add_row(f"... and {hidden} more classes")
    return table


def _reliability(before: dict[Any, Any], after: dict[Any, Any], shown: list[Any]) -> Any:
    def cells(row: dict[str, Any]) -> list[str]:
        if not row["count"]:
            return ["0", "-", "-", "-"]
        return [str(row["count"]), f"{row['confidence']:.3f}", f"{row['accuracy']:.3f}", f"{row['gap']:+.3f}"]

    columns = ["predicted class", "rows", "says", "right", "gap", "rows", "says", "right", "gap", "verdict"]
    rows = [
        ["(all)" if label is None else str(label), *cells(before[label]), *cells(after[label]), after[label]["verdict"]]
        for label in [None, *shown]
    ]
    title = "Reliability on the test rows, before | after calibration"
    return _add_rows(_table(title, columns), len(before) - 1, rows)


def _routes(policies: dict[str, Any], reports: dict[str, Any], shown: list[Any], max_error: float) -> Any:
    figures = {name: {row["label"]: row for row in report.to_records()} for name, report in reports.items()}

    def cells(name: str, label: Any) -> list[str]:
        row = figures[name][label]
        threshold = "" if label is None else f"{policies[name].thresholds_[label]:.3f}"
        return ["never" if threshold == "inf" else threshold, f"{row['auto']:.0f}", _share(row["error"])]

    rows = [
        ["(all)" if label is None else str(label), f"{figures['global'][label]['total']:.0f}"]
        + [cell for name in policies for cell in cells(name, label)]
        for label in [None, *shown]
    ]
    columns = ["class", "rows of it", "threshold", "routed to it", "wrong", "threshold", "routed to it", "wrong"]
    title = f"Routes, one threshold (at most {max_error:.0%} wrong on the tuning rows) | certified by class"
    return _add_rows(_table(title, columns), len(figures["global"]) - 1, rows)
