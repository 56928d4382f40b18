import json
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from skroute.exceptions import RareClassWarning
from skroute.routing._candidates import CandidateSets, fit_candidates, learn_candidates
from skroute.routing._label_sets import LabelSets, label_sets

CLASSES = np.array(["attack", "unlock", "vpn"])


def rows_of(n_rows, seed, n_classes=3, decimals=None):
    rng = np.random.default_rng(seed)
    codes = rng.integers(n_classes, size=n_rows)
    scores = rng.normal(size=(n_rows, n_classes)) + np.eye(n_classes)[codes]
    proba = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    return (proba if decimals is None else proba.round(decimals)), codes


def by_p_values(proba, codes, new, coverage):
    """Return sets by the definition: a class is left out if too few known rows conform as little as it does."""

    def conformity(row, code):
        return math.inf if row.argmax() == code else row[code]

    known = [conformity(row, code) for row, code in zip(proba, codes, strict=True)]
    miss = (len(known) + 1) * (1 - Fraction(str(coverage)))
    return [
        [sum(value <= conformity(row, code) for value in known) + 1 > miss for code in range(proba.shape[1])]
        for row in new
    ]


samples = st.builds(
    rows_of, st.integers(1, 60), st.integers(0, 10**6), st.integers(2, 5), st.sampled_from([None, 1, 2])
)
coverages = st.sampled_from([0.05, 0.5, 0.55, 0.7, 0.8, 0.9, 0.95, 0.99])


@given(samples, coverages, st.integers(0, 10**6))
@settings(max_examples=150, deadline=None)
def test_sets_equal_the_definition_by_p_values(sample, coverage, seed):
    proba, codes = sample
    new, _ = rows_of(5, seed, proba.shape[1], 1)
    new = np.concatenate([new, proba[:5]])
    sets = fit_candidates(proba, codes, coverage=coverage).sets(new)
    # Where nothing can be left out, the top class is no exception.
    assert_array_equal(sets, by_p_values(proba, codes, new, coverage))


@given(samples, coverages)
@settings(max_examples=60, deadline=None)
def test_levels_by_class_are_those_of_each_class_alone(sample, coverage):
    proba, codes = sample
    candidates = fit_candidates(proba, codes, coverage=coverage, by_class=True)
    for code, level in enumerate(candidates.levels):
        rows = codes == code
        assert level == fit_candidates(proba[rows], codes[rows], coverage=coverage).levels[0]
        assert candidates.rows[code] == rows.sum()


@given(samples, coverages, st.booleans(), st.integers(0, 10**6))
@settings(max_examples=80, deadline=None)
def test_whole_weights_are_repetitions(sample, coverage, by_class, seed):
    proba, codes = sample
    counts = np.random.default_rng(seed).integers(0, 4, size=len(codes))
    options = {"coverage": coverage, "by_class": by_class}
    by_weight = fit_candidates(proba, codes, weight=counts.astype(float), **options)
    by_rows = fit_candidates(np.repeat(proba, counts, axis=0), np.repeat(codes, counts), **options)
    assert_array_equal(by_weight.levels, by_rows.levels)
    assert_array_equal(by_weight.rows, by_rows.rows)


@given(samples, coverages, st.integers(0, 10**6))
@settings(max_examples=60, deadline=None)
def test_of_importances_only_ratios_matter_and_none_is_less_careful_than_rows(sample, coverage, seed):
    proba, codes = sample
    weight = np.random.default_rng(seed).uniform(0.1, 0.9, size=len(codes))
    level = fit_candidates(proba, codes, coverage=coverage, weight=weight).levels[0]
    assert level == fit_candidates(proba, codes, coverage=coverage, weight=weight / 4).levels[0]
    plain = fit_candidates(proba, codes, coverage=coverage)
    assert_array_equal(
        fit_candidates(proba, codes, coverage=coverage, weight=np.full(len(codes), 0.3)).levels, plain.levels
    )
    # The weighted quantile, with the new row as heavy as the heaviest: sum over rows that reach the level.
    scores = np.where(proba.argmax(axis=1) == codes, np.inf, proba[np.arange(len(codes)), codes])
    needed = coverage * (weight.sum() + weight.max())
    reached = [score for score in scores if weight[scores >= score].sum() >= needed - 1e-9]
    assert level == max(reached, default=0.0)


@given(samples, st.booleans())
@settings(max_examples=60, deadline=None)
def test_sets_grow_with_the_coverage_and_hold_the_top_class(sample, by_class):
    proba, codes = sample
    smaller = np.zeros_like(proba, dtype=bool)
    smaller[np.arange(len(proba)), proba.argmax(axis=1)] = True
    for coverage in (0.2, 0.5, 0.8, 0.9, 0.95, 0.999):
        sets = fit_candidates(proba, codes, coverage=coverage, by_class=by_class).sets(proba)
        assert np.all(sets >= smaller)
        smaller = sets
    assert smaller.all()


@given(samples, coverages)
@settings(max_examples=60, deadline=None)
def test_sets_are_no_larger_than_least_ambiguous_ones_with_the_top_class_added(sample, coverage):
    proba, codes = sample
    k = math.ceil((len(codes) + 1) * Fraction(str(coverage)))
    scores = np.sort(proba[np.arange(len(codes)), codes])[::-1]
    plain = proba >= (scores[k - 1] if k <= len(codes) else 0.0)
    plain[np.arange(len(codes)), proba.argmax(axis=1)] = True
    assert np.all(fit_candidates(proba, codes, coverage=coverage).sets(proba) <= plain)


@pytest.mark.parametrize(("coverage", "least"), [(0.95, 19), (0.9, 9), (0.55, 2), (0.99, 99), (0.7, 3)])
def test_with_too_few_rows_every_class_is_in_every_set(coverage, least):
    for n_rows in (least - 1, least):
        proba, codes = np.tile([0.6, 0.4], (n_rows, 1)), np.ones(n_rows, dtype=int)
        candidates = fit_candidates(proba, codes, coverage=coverage)
        assert candidates.short.tolist() == [n_rows < least]
        assert candidates.levels.tolist() == [0.0 if n_rows < least else 0.4]


def test_the_number_of_rows_is_that_of_the_decimal_and_not_of_its_float():
    # 0.55 of 100 is 55; in floats it is a little more, and 56 rows would be asked for.
    assert 0.55 * 100 > 55
    scores = np.linspace(0.3, 0.4, 99)
    candidates = fit_candidates(np.column_stack([1 - scores, scores]), np.ones(99, dtype=int), coverage=0.55)
    assert candidates.levels[0] == np.sort(scores)[::-1][54]


def test_single_precision_gives_the_sets_of_the_same_numbers_in_double_precision():
    proba, codes = rows_of(300, 0)
    single = proba.astype(np.float32)
    candidates = fit_candidates(single, codes, coverage=0.9)
    assert_array_equal(candidates.levels, fit_candidates(single.astype(float), codes, coverage=0.9).levels)
    assert_array_equal(candidates.sets(single), candidates.sets(single.astype(float)))


def test_where_the_top_class_is_right_often_enough_the_sets_are_the_top_classes():
    proba, codes = rows_of(200, 1)
    codes = proba.argmax(axis=1)
    codes[:5] = (codes[:5] + 1) % 3
    candidates = fit_candidates(proba, codes, coverage=0.95)
    assert candidates.levels.tolist() == [np.inf]
    assert_array_equal(candidates.sets(proba).sum(axis=1), np.ones(200))


@pytest.mark.slow
@pytest.mark.parametrize("n_rows", [40, 200])
@pytest.mark.parametrize("by_class", [False, True])
def test_coverage_is_that_of_the_order_statistic(n_rows, by_class):
    # Without ties and with an accuracy below it, the mean coverage over draws is k / (n + 1): of new rows of all
    # classes, or of those of the hardest one, of which there are n.
    rng, n_draws, n_new = np.random.default_rng(7), 1500, 100
    shares, ease = np.array([0.5, 0.3, 0.2]), np.array([1.5, 1.0, 0.5])
    held, hardest = np.empty(n_draws), np.empty(n_draws)
    for draw in range(n_draws):
        codes = rng.choice(3, size=n_rows + n_new, p=shares)
        if by_class:
            codes[:n_rows], codes[n_rows:] = 2, 2
            codes = np.concatenate([rng.choice(2, size=n_rows), codes])
        scores = rng.normal(size=(len(codes), 3)) + ease[codes][:, None] * np.eye(3)[codes]
        proba = np.exp(2 * scores) / np.exp(2 * scores).sum(axis=1, keepdims=True)
        candidates = fit_candidates(proba[:-n_new], codes[:-n_new], coverage=0.9, by_class=by_class)
        right = candidates.sets(proba[-n_new:])[np.arange(n_new), codes[-n_new:]]
        held[draw], hardest[draw] = right.mean(), right[codes[-n_new:] == 2].mean()
    promised = math.ceil((n_rows + 1) * Fraction("0.9")) / (n_rows + 1)
    assert abs(held.mean() - promised) < 3.5 * held.std() / math.sqrt(n_draws)
    # The guarantee of all rows together is none for a class.
    assert hardest.mean() < 0.85 or by_class


def test_fitting_for_a_policy_names_what_stands_in_every_set():
    proba = np.tile([0.5, 0.3, 0.2], (50, 1))
    proba[40:] = [0.0, 0.9, 0.1]
    codes = np.array([0] * 20 + [1] * 20 + [0] * 10)
    with pytest.warns(RareClassWarning) as caught:
        candidates = learn_candidates(proba, codes, CLASSES, coverage=0.95, by_class=True)
    text = str(caught[0].message)
    assert "attack (probability 0 in too many of its 30 rows)" in text
    assert "vpn (0 rows; 19 are needed)" in text
    assert "unlock" not in text
    assert candidates.levels.tolist() == [0.0, 0.3, 0.0]
    with pytest.warns(RareClassWarning, match=r"any class \(10 rows; 19 are needed\)"):
        learn_candidates(proba[:10], codes[:10], CLASSES, coverage=0.95)
    assert learn_candidates(proba, codes, CLASSES, coverage=0.5, sample_weight=np.ones(50)).rows.tolist() == [50]


def test_a_class_whose_importances_are_all_zero_has_no_rows():
    proba, codes = rows_of(60, 5)
    weight = np.where(codes == 1, 0.0, 0.3)
    candidates = fit_candidates(proba, codes, coverage=0.8, by_class=True, weight=weight)
    assert candidates.rows.tolist() == [(codes == 0).sum(), 0, (codes == 2).sum()]
    assert candidates.levels[1] == 0.0


def test_labels_are_needed_and_weights_are_checked():
    proba, codes = rows_of(30, 0)
    with pytest.raises(ValueError, match=r"candidates=0.95 is learned from labels: pass y to fit"):
        learn_candidates(proba, None, CLASSES, coverage=0.95)
    with pytest.raises(ValueError, match="30 rows, got 2 weights"):
        learn_candidates(proba, codes, CLASSES, coverage=0.95, sample_weight=[1, 2])


@given(samples, st.sampled_from([0.5, 0.8]), st.booleans(), st.integers(0, 10**6))
@settings(max_examples=60, deadline=None)
@pytest.mark.filterwarnings("ignore::skroute.exceptions.RareClassWarning")
def test_the_level_is_the_lower_one_of_all_rows_and_of_held_rows(sample, coverage, by_class, seed):
    proba, codes = sample
    held = np.random.default_rng(seed).random(len(codes)) < 0.6
    classes, options = np.arange(proba.shape[1]), {"coverage": coverage, "by_class": by_class}
    both = learn_candidates(proba, codes, classes, held=held, **options)
    every = fit_candidates(proba, codes, **options)
    alone = fit_candidates(proba[held], codes[held], **options)
    assert_array_equal(both.levels, np.minimum(every.levels, alone.levels))
    assert_array_equal(both.sets(proba), every.sets(proba) | alone.sets(proba))
    assert np.all((both.levels > 0) | ~alone.short | both.short)


def test_too_few_held_rows_are_named():
    proba, codes = rows_of(100, 0)
    held = np.arange(100) < 7
    with pytest.warns(RareClassWarning, match=r"any class \(7 rows that are not automatic; 19 are needed\)"):
        candidates = learn_candidates(proba, codes, CLASSES, coverage=0.95, held=held)
    assert candidates.sets(proba).all()
    weight = np.where(held, 3.0, 1.0)
    weighted = learn_candidates(proba, codes, CLASSES, coverage=0.95, held=held, sample_weight=weight)
    assert weighted.levels[0] > 0


@pytest.mark.slow
def test_held_rows_are_covered_as_well_as_all_rows():
    # The rows that no gate passes are the hard ones: a level of all rows would cover them too seldom.
    rng, n_draws = np.random.default_rng(11), 1000
    held_share, plain_share = np.empty(n_draws), np.empty(n_draws)
    for draw in range(n_draws):
        codes = rng.integers(3, size=600)
        scores = rng.normal(size=(600, 3)) + 1.5 * np.eye(3)[codes]
        proba = np.exp(1.5 * scores) / np.exp(1.5 * scores).sum(axis=1, keepdims=True)
        held = proba.max(axis=1) < 0.8
        known, new = np.arange(600) < 300, np.arange(600) >= 300
        asked = new & held
        args = proba[known], codes[known], CLASSES
        for shares, mask in ((held_share, held[known]), (plain_share, None)):
            sets = learn_candidates(*args, coverage=0.9, held=mask).sets(proba[asked])
            shares[draw] = sets[np.arange(asked.sum()), codes[asked]].mean()
    error = held_share.std() / math.sqrt(n_draws)
    assert held_share.mean() > 0.9 - 3 * error
    assert held_share.mean() < 0.91
    assert plain_share.mean() < 0.9 - 5 * error


@pytest.mark.parametrize("by_class", [False, True])
def test_json_holds_everything(by_class):
    proba, codes = rows_of(80, 3)
    candidates = fit_candidates(proba, codes, coverage=0.5, by_class=by_class)
    data = json.loads(json.dumps(candidates.to_dict(CLASSES), allow_nan=False))
    back = CandidateSets.from_dict(data, CLASSES)
    assert (back.coverage, back.by_class) == (0.5, by_class)
    assert_array_equal(back.levels, candidates.levels)
    assert_array_equal(back.rows, candidates.rows)
    assert np.isposinf(back.levels).any()
    assert data["levels"] == ({"attack": "inf", "unlock": "inf", "vpn": "inf"} if by_class else "inf")
    if by_class:
        data["levels"] = dict(reversed(data["levels"].items()))
        assert_array_equal(CandidateSets.from_dict(data, CLASSES).levels, candidates.levels)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"coverage": 1.5}, r"'coverage' parameter of candidates must be a number in \[0\.5, 1\)"),
        ({"coverage": True}, r"must be a number in \[0\.5, 1\)"),
        ({"coverage": 0.05}, r"must be a number in \[0\.5, 1\)"),
        ({"levels": 1.5}, r"must lie in \[0, 1\]"),
        ({"levels": -0.5}, "at least 0"),
        ({"levels": "much"}, "at least 0"),
        ({"levels": float("nan")}, "at least 0"),
        ({"rows": "inf"}, "finite"),
        ({"rows": {"vpn": 3}}, "at least 0"),
        ({"levels": {"vpn": 0.5}}, "must name every class once, got vpn"),
        ({"levels": {"vpn": 0.5, "mail": 0.1}}, "'mail', which is not a class"),
    ],
)
def test_a_bad_file_is_named(change, message):
    good = {"coverage": 0.9, "levels": 0.2, "rows": 100}
    with pytest.raises(ValueError, match=message):
        CandidateSets.from_dict(good | change, CLASSES)
    for part in good:
        with pytest.raises(ValueError, match=f"lacks {part}"):
            CandidateSets.from_dict({name: value for name, value in good.items() if name != part}, CLASSES)
    with pytest.raises(ValueError, match="must be a dict"):
        CandidateSets.from_dict([0.9], CLASSES)


@pytest.fixture
def sets():
    proba = np.array([[0.1, 0.3, 0.6], [0.98, 0.01, 0.01], [0.4, 0.2, 0.4], [0.3, 0.35, 0.35]])
    return label_sets(
        CandidateSets(0.95, by_class=False, levels=np.array([0.25]), rows=np.array([500.0])), proba, CLASSES
    )


def test_labels_are_ordered_by_probability_and_the_first_of_equals_comes_first(sets):
    expected = [["vpn", "unlock"], ["attack"], ["attack", "vpn"], ["unlock", "vpn", "attack"]]
    assert sets.tolist() == expected == list(sets) == [sets[i] for i in range(4)]
    assert all(type(label) is str for label in sets[0])
    assert sets[-1] == expected[-1]
    assert sets[np.int64(1)] == ["attack"]
    assert (len(sets), sets.sizes.tolist()) == (4, [2, 1, 2, 3])
    with pytest.raises(IndexError):
        sets[4]


@pytest.mark.parametrize(
    "rows", [slice(1, 3), [3, 0], np.array([True, False, False, True]), np.array([], dtype=int), slice(None, None, -1)]
)
def test_selected_rows_are_sets_of_their_own(sets, rows):
    chosen = sets[rows]
    assert isinstance(chosen, LabelSets)
    assert chosen.tolist() == [sets[int(i)] for i in np.arange(4)[rows]]
    assert len(chosen) == len(chosen.to_pandas()) == len(chosen.to_records())
    assert str(chosen).startswith(f"LabelSets({len(chosen)} row")


def test_every_form_shows_the_same(sets):
    assert repr(sets) == "LabelSets(4 rows: 2.00 labels a row, 1 to 3; hold the true class with probability 0.95)"
    assert sets.to_records()[0] == {"labels": ["vpn", "unlock"], "proba": [0.6, 0.3], "size": 2}
    assert json.loads(json.dumps(sets.to_records())) == sets.to_records()
    assert sets.to_pandas()["labels"].tolist() == sets.tolist()
    assert sets.to_polars()["labels"].to_list() == sets.tolist()
    assert sets[[0, 2]].to_polars()["labels"].to_list() == [["vpn", "unlock"], ["attack", "vpn"]]
    assert str(sets).splitlines()[2] == "   2  vpn (0.600); unlock (0.300)"
    assert "<td" in sets._repr_html_()
    for text in (str(sets[[0] * 12]), sets[[0] * 12]._repr_html_()):
        assert "(2 more rows)" in text


@pytest.mark.parametrize("rows", [slice(None), [0, 2], [1], []])
def test_an_array_of_sets_has_an_entry_a_row(sets, rows):
    chosen = sets[rows] if rows != [] else sets[:0]
    array = np.asarray(chosen)
    assert (array.shape, array.dtype) == ((len(chosen),), object)
    assert array.tolist() == chosen.tolist()
    with pytest.raises(ValueError, match="without a copy"):
        np.array(chosen, copy=False)


def test_of_many_labels_the_first_are_shown():
    sets = LabelSets(0.9, np.arange(12), np.array([0, 8, 18]), np.arange(18) % 12, np.full(18, 0.1))
    first, second = str(sets).splitlines()[2:]
    assert first.endswith("6 (0.100); 7 (0.100)")
    assert second.endswith("; 3 (0.100) and 2 more")


@given(samples, coverages, st.booleans())
@settings(max_examples=40, deadline=None)
def test_label_sets_hold_the_members(sample, coverage, by_class):
    proba, codes = sample
    candidates = fit_candidates(proba, codes, coverage=coverage, by_class=by_class)
    classes = np.arange(proba.shape[1]) * 10
    sets = label_sets(candidates, proba, classes)
    for row, labels, members in zip(proba, sets, candidates.sets(proba), strict=True):
        assert sorted(labels) == classes[members].tolist()
        assert labels == sorted(labels, key=lambda label: (-row[label // 10], label))
        assert labels[0] == classes[row.argmax()]
