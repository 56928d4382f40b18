"""What is guaranteed of each class, in numbers and in plain words."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from numbers import Real
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from skroute._tabular import Sheet, Tabular, count_text, counted, level_text, share_text
from skroute._validation import check_option, label_positions, listed, shown
from skroute.policies._labels_needed import labels_needed

__all__ = ["Certificates"]


@dataclass(frozen=True, eq=False)
class Certificates(Tabular):
    """What holds for each class, and with which confidence; all fields but that are arrays with one entry a statement.

    Attributes
    ----------
    label : ndarray
        The class.
    kind : ndarray of str
        "error": the share of wrong rows among those auto-routed to the class. "recall": the share of the class's rows
        that are watched or auto-routed to it.
    target : ndarray of float
        Largest share wrong, or least recall, in (0, 1); NaN without a target.
    risk : ndarray of float
        Largest probability that the statement is false: 1 - confidence, or its share of that with `joint=True`.
    status : ndarray of str
        "certified"; "too_few_rows": no outcome of so few rows could show it; "not_attained": the rows do not show it;
        "given": the number is the user's own, and nothing is promised; "no_target": nothing was asked for; "held_back":
        some model or calibrator never saw the class.
    guarantee : ndarray of str
        "exact" where the promise needs no more than independent rows of the kind to come; "approximate" where it leans
        on the stability of cross-fitting, or on a search guided by the same rows; "none".
    threshold : ndarray of float
        Least confidence for automatic routing, or level of the watch. +inf: never auto-routed. 0: everything watched.
    rows, rows_needed : ndarray of float
        Rows at hand that count (their weight), and how many it takes at the least, if none of them is wrong.
    routed, errors : ndarray of float
        Rows at and above the threshold (all at hand, where they are too few), and wrong ones among them; for recall,
        rows of the class, and those below the level.
    p_value : ndarray of float
        Probability of so few errors if the target were missed.
    upper_bound : ndarray of float
        Largest share of errors that is compatible with the rows, at the confidence asked for; for the threshold alone,
        without regard to its choice.
    coverage : ndarray of float
        Share of the rows whose top class is this one that are auto-routed; for recall, the share of the rows of other
        classes that are watched.
    confidence : float
        Probability, in (0, 1), with which each statement holds (all at once with `joint=True`).
    watch_order : {"before", "flag"}, default="before"
        What watches do: with "flag" they hold back no row.
    """

    label: NDArray[Any]
    kind: NDArray[np.str_]
    target: NDArray[np.float64]
    risk: NDArray[np.float64]
    status: NDArray[np.str_]
    guarantee: NDArray[np.str_]
    threshold: NDArray[np.float64]
    rows: NDArray[np.float64]
    rows_needed: NDArray[np.float64]
    routed: NDArray[np.float64]
    errors: NDArray[np.float64]
    p_value: NDArray[np.float64]
    upper_bound: NDArray[np.float64]
    coverage: NDArray[np.float64]
    confidence: float
    watch_order: str = "before"

    @classmethod
    def from_records(cls, records: Sequence[Mapping[str, Any]], confidence: float, watch_order: str = "before") -> Self:
        """Build the table from one dict a statement."""
        columns: dict[str, Any] = {}
        for field in fields(cls):
            if field.name in SETTINGS:
                continue
            values = [record[field.name] for record in records]
            if field.name == "label":
                columns["label"] = np.empty(len(values), dtype=object)
                columns["label"][:] = values
            else:
                columns[field.name] = np.array(values, dtype=str if field.name in TEXTS else np.float64)
        return cls(**columns, confidence=float(confidence), watch_order=watch_order)

    def _columns(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name not in SETTINGS}

    def of(self, label: Any, kind: str = "error") -> dict[str, Any]:
        """Return the statement on one class.

        Parameters
        ----------
        label : label
            A class.
        kind : {"error", "recall"}, default="error"
            What is stated.

        Returns
        -------
        statement : dict
            The attributes, with single values.

        Raises
        ------
        ValueError
            If there is no such statement.
        """
        for record in self.to_records():
            if record["kind"] == kind and (record["label"] == label or str(record["label"]) == str(label)):
                return record
        raise ValueError(f"There is no statement on the {kind} of {label!r}; the classes are {list(self.label)}.")

    def statements(self) -> list[str]:
        """Return every entry in plain words; of those that are certified, with the confidence and how exact it is."""
        sure = f"{level_text(self.confidence)} confidence" + " of all at once" * self._is_joint()
        return [
            f"{record['label']}: {words}" + f" ({sure}, {record['guarantee']})" * (record["status"] == "certified")
            for record, words in zip(self.to_records(), self._words(), strict=True)
        ]

    def _words(self) -> list[str]:
        wanted = listed(self.blocked_by())
        return [
            f"not certified, everything is watched for want of rows of {wanted}; never auto-routed"
            if wanted and record["kind"] == "error" and record["rows"] == 0.0
            else _in_words(record)
            for record in self.to_records()
        ]

    def short_reasons(self) -> list[str]:
        """Return the class of every entry that failed, with the reason in brackets; recall first.

        Classes that have no row left because everything is watched are not named: `blocked_by` says for want of what.
        """
        failed = [record for record in self.to_records() if record["status"] in ("too_few_rows", "not_attained")]
        if self.blocked_by():
            failed = [record for record in failed if record["rows"] > 0.0]
        return [_reason(record) for kind in KINDS[::-1] for record in failed if record["kind"] == kind]

    def blocked_by(self) -> list[Any]:
        """Return the classes for want of whose rows everything is watched, so that no row is left for other classes.

        Returns
        -------
        labels : list
            Empty, unless a class has too few rows for its recall and its watch holds back all others.
        """
        if self.watch_order != "before":
            return []
        blocked: list[Any] = self.label[(self.kind == "recall") & (self.status == "too_few_rows")].tolist()
        return blocked

    def labels_needed(self, power: float = 0.8) -> dict[Any, float]:
        """Tell how many more verified rows each class needs for its error to be certified.

        Rows are those that would be auto-routed to the class but for its threshold. The estimate takes the share of
        errors that was seen (half an error among the rows where none was) as the true one, and the share of the rows
        that reached the threshold tried as well. So it is more than what `rows_needed` says, which would do if not one
        row were wrong; and no more than that where fewer than ten rows reached a threshold, which tell no share.

        Parameters
        ----------
        power : float, default=0.8
            Probability, in (0, 1), that the certificate is then obtained.

        Returns
        -------
        rows : dict of class to float
            Zero for certified classes and no others; +inf where the error seen is no less than the target. While
            everything is watched for want of rows of some classes, what these lack for their recall, and nothing else.
        """
        blocked = self.blocked_by()
        if blocked:
            recalls = [self.of(label, "recall") for label in blocked]
            return {record["label"]: int(record["rows_needed"] - record["rows"]) for record in recalls}
        needed: dict[Any, float] = {}
        for record in self.to_records():
            if record["kind"] != "error" or record["status"] in ("given", "no_target", "held_back"):
                continue
            if record["status"] == "certified":
                needed[record["label"]] = 0
                continue
            tried = record["routed"] or record["rows"]
            seen = max(record["errors"], 0.5) / tried if record["routed"] >= 10 else 0.0
            more = labels_needed(
                record["target"], confidence=1.0 - record["risk"], error=seen, power=power, rows=int(tried)
            )
            share = tried / record["rows"] if tried else 1.0
            needed[record["label"]] = more if math.isinf(more) else max(math.ceil(more / share), 1)
        return needed

    def __repr__(self) -> str:
        """Return one line: how many statements are certified."""
        n_certified = int((self.status == "certified").sum())
        return f"Certificates({n_certified} of {len(self)} statements certified at confidence {self.confidence:g})"

    def _shown(self) -> Sheet:
        records = [record | {"words": words} for record, words in zip(self.to_records(), self._words(), strict=True)]
        # What is stated of a class stands together: the recalls come last in the table itself.
        place = {str(record["label"]): i for i, record in reversed(list(enumerate(records)))}
        records.sort(key=lambda record: place[str(record["label"])])
        return Sheet(
            header=["class", "target", "threshold", "rows", "needed", "routed", "errors", "bound"]
            + ["guarantee", "statement"],
            rows=[_cells(record) for record in records],
            words=("class", "target", "guarantee", "statement"),
            caption=repr(self),
            note=self._note(),
        )

    def _is_joint(self) -> bool:
        """Tell whether the statements share the risk of one, so that all hold with the confidence of each."""
        shares = self.risk[np.isin(self.status, TRIED)]
        return bool(shares.size and shares.max() < (1.0 - self.confidence) * 0.999)

    def _note(self) -> str:
        """Return how many of the statements may be false, or that they hold all at once: each alone is nearly sure."""
        tried = np.isin(self.status, TRIED)
        if not (self.status == "certified").any():
            return ""
        if self._is_joint():
            return f"All that are certified hold at once with {level_text(self.confidence)} confidence."
        if tried.sum() == 1:
            return ""
        wrong = self.risk[tried].sum()
        return (
            f"Of the {tried.sum()} statements that were tried, up to {wrong:.2g} are certified wrongly on average; "
            "joint=True has all hold at once."
        )


def read_records(data: Any, classes: NDArray[Any], name: str) -> list[dict[str, Any]]:
    """Return the statements of a JSON file, each checked to be whole, with one on the error of every class."""
    if not isinstance(data, list) or not all(isinstance(record, Mapping) for record in data):
        raise ValueError(f"{name} must be a list of dicts, got {shown(data)}.")
    known = classes.tolist()
    records = [_read_record(record, f"{name}[{i}]") for i, record in enumerate(data)]
    places = label_positions([str(record["label"]) for record in records], classes, name)
    records = [record | {"label": known[place]} for record, place in zip(records, places, strict=True)]
    for kind in KINDS:
        labels = [record["label"] for record in records if record["kind"] == kind]
        if len(set(labels)) < len(labels) or (kind == "error" and len(labels) < len(known)):
            raise ValueError(f"{name} must state the {kind} of {listed(known)}, each once; got {listed(labels)}.")
    return records


def _read_record(record: Mapping[str, Any], name: str) -> dict[str, Any]:
    names = [field.name for field in fields(Certificates) if field.name not in SETTINGS]
    if set(record) != set(names):
        raise ValueError(f"{name} must hold {', '.join(names)}; got {listed(record)}.")
    found: dict[str, Any] = dict(record)
    for part, value in record.items():
        place = f"{name}[{part!r}]"
        if part in TEXTS:
            check_option(value, TEXTS[part], place, "CertifiedPolicy")
        elif part != "label":
            if value not in (None, "inf") and (isinstance(value, bool) or not isinstance(value, Real)):
                raise ValueError(f"{place} must be a number, 'inf' or None, got {shown(value)}.")
            found[part] = math.nan if value is None else float(value)
    if found["status"] in (*TRIED, "too_few_rows") and not 0.0 < found["risk"] < 1.0:
        raise ValueError(f"{name}['risk'] must lie in (0, 1), got {shown(record['risk'])}.")
    return found


KINDS = ("error", "recall")
# What became of statements that were tested.
TRIED = ("certified", "not_attained")
# Of all statements together.
SETTINGS = ("confidence", "watch_order")
# What the columns of text may say.
TEXTS = {
    "kind": KINDS,
    "status": ("certified", "too_few_rows", "not_attained", "given", "no_target", "held_back"),
    "guarantee": ("exact", "approximate", "none"),
}


def _cells(record: Mapping[str, Any]) -> list[str]:
    sign = "<=" if record["kind"] == "error" else "recall >="
    target = "-" if np.isnan(record["target"]) else f"{sign} {level_text(record['target'])}"
    threshold = "never" if np.isinf(record["threshold"]) else _level(record["threshold"])
    counts = [count_text(record[name]) for name in ("rows", "rows_needed", "routed", "errors")]
    # Where rows are too few, nothing was tested that could bound the errors.
    bound = "-" if record["status"] == "too_few_rows" else share_text(record["upper_bound"], math.ceil)
    return [str(record["label"]), target, threshold, *counts, bound, record["guarantee"], record["words"]]


def _level(level: float) -> str:
    """Return a threshold with three decimals, or with one digit that tells it from 0."""
    return f"{level:.3f}" if level == 0.0 or level >= 0.001 else f"{level:.0e}"


def _in_words(record: Mapping[str, Any]) -> str:
    target, status = level_text(record["target"]), record["status"]
    if status == "given":
        return f"{record['threshold']:g} was given, nothing is guaranteed"
    if status == "no_target":
        return "no target, never auto-routed"
    if status == "held_back":
        return "held back, never auto-routed: by hand, or because some model or calibrator never saw it"
    if status == "too_few_rows":
        held = "never auto-routed" if record["kind"] == "error" else "everything is watched"
        return f"not certified, {_few(record)}; {held}"
    seen = f"{count_text(record['errors'])} of {count_text(record['routed'])}"
    if status == "not_attained":
        shown = f"{seen} wrong at the first threshold tried, which leaves more than {target} possible"
        if record["routed"] < record["rows_needed"]:
            shown = f"{_few({**record, 'rows': record['routed']})} at the first threshold tried"
        return f"not certified, {shown}; never auto-routed"
    if record["kind"] == "error":
        return f"at most {target} wrong; {seen} were"
    price = "" if np.isnan(record["coverage"]) else f"; so are {share_text(record['coverage'])} of other classes' rows"
    return f"at least {target} watched or auto-routed to it{price}"


def _reason(record: Mapping[str, Any]) -> str:
    if record["kind"] == "recall":
        return f"recall of {record['label']} ({_few(record)}, everything is watched)"
    if record["status"] == "too_few_rows":
        return f"{record['label']} ({_few(record)})"
    seen = f"{count_text(record['errors'])} of {count_text(record['routed'])} wrong at the first threshold tried"
    return f"{record['label']} ({seen}: more than {level_text(record['target'])} possible)"


def _few(record: Mapping[str, Any]) -> str:
    return f"{counted(record['rows'], 'row')}, {count_text(record['rows_needed'])} needed"
