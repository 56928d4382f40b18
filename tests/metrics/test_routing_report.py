import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import beta

from skroute import RoutePolicy
from skroute.metrics import routing_cost, routing_report

CLASSES = np.array(["attack", "unlock", "vpn"])
COUNTS = ["total", "auto", "wrong", "watched", "escalated", "clarified", "missed"]


@pytest.fixture
def routed():
    rng = np.random.default_rng(0)
    proba = rng.dirichlet([0.25, 0.4, 0.4], size=400)
    truth = np.array([rng.choice(CLASSES, p=row**0.6 / (row**0.6).sum()) for row in proba])
    policy = RoutePolicy(watch={"attack": 0.3}).fit(proba, classes=CLASSES)
    return truth, policy.explain(proba), rng.integers(0, 4, size=400)


def brute_force(truth, table, weight):
    """Count row by row, into one dict for all rows (None) and one for each class."""
    names = {"watch": "watched", "escalate": "escalated", "clarify": "clarified"}
    counts = {label: dict.fromkeys(COUNTS, 0.0) for label in [None, *CLASSES]}
    for true, route, label, w in zip(truth, table.route, table.label, weight, strict=True):
        for group in (None, true):
            counts[group]["total"] += w
            if route in names:
                counts[group][names[route]] += w
            elif label != true:
                counts[group]["missed"] += w
        if route == "auto":
            for group in (None, label):
                counts[group]["auto"] += w
                counts[group]["wrong"] += w * (label != true)
    return counts


@pytest.mark.parametrize("weighted", [False, True])
def test_counts_equal_brute_force(routed, weighted):
    truth, table, weight = routed
    report = routing_report(truth, table, sample_weight=weight if weighted else None)
    expected = brute_force(truth, table, weight if weighted else np.ones(400))
    assert report.label.tolist() == [None, *CLASSES]
    for name in COUNTS:
        assert_allclose(getattr(report, name), [expected[label][name] for label in report.label], err_msg=name)
        assert np.all(getattr(report, name) > 0), "a count that is zero proves nothing"
    assert_allclose(report.error, report.wrong / report.auto)
    assert report.coverage == pytest.approx(report.auto[0] / report.total[0])


@pytest.mark.parametrize("level", [0.5, 0.95])
def test_the_interval_is_clopper_pearsons(routed, level):
    truth, table, _ = routed
    report = routing_report(truth, table, confidence_level=level)
    tail = (1 - level) / 2
    assert_allclose(report.error_low, beta.ppf(tail, report.wrong, report.auto - report.wrong + 1))
    assert_allclose(report.error_high, beta.ppf(1 - tail, report.wrong + 1, report.auto - report.wrong))


def test_weights_narrow_the_interval_no_more_than_their_effective_number(routed):
    truth, table, weight = routed
    report = routing_report(truth, table, sample_weight=weight, weights="importance")
    assert_allclose(routing_report(truth, table, sample_weight=weight * 0.7).error_high, report.error_high)
    auto = table.route == "auto"
    rows = weight[auto].sum() ** 2 / (weight[auto] ** 2).sum()
    hits = report.error[0] * rows
    assert_allclose(report.error_low[0], beta.ppf(0.025, hits, rows - hits + 1))
    assert_allclose(report.error_high[0], beta.ppf(0.975, hits + 1, rows - hits))


def test_integer_weights_are_repetitions(routed):
    truth, table, weight = routed
    by_weight = routing_report(truth, table, sample_weight=weight)
    by_rows = routing_report(np.repeat(truth, weight), table[np.repeat(np.arange(400), weight)])
    for name in [*COUNTS, "error", "error_low", "error_high"]:
        assert_allclose(getattr(by_weight, name), getattr(by_rows, name), err_msg=name)


def test_equal_importances_change_nothing_but_the_unit(routed):
    truth, table, _ = routed
    plain = routing_report(truth, table)
    doubled = routing_report(truth, table, sample_weight=np.full(400, 2.0), weights="importance")
    assert_allclose(doubled.total, 2 * plain.total)
    assert_allclose(doubled.error_high, plain.error_high)


def test_where_nothing_is_automatic_the_error_is_nan_and_its_interval_says_nothing():
    policy = RoutePolicy().fit([[0.5, 0.5]], classes=["unlock", "vpn"])
    report = routing_report(["unlock", "vpn"], policy.explain([[0.5, 0.5], [0.4, 0.6]]))
    assert np.isnan(report.error).all()
    assert np.isnan(report.error_low).all()
    assert np.isnan(report.error_high).all()
    assert report.coverage == 0.0
    assert "-" in str(report)


def test_classes_name_and_order_the_rows(routed):
    truth, table, _ = routed
    report = routing_report(truth, table, classes=["vpn", "mail", "attack", "unlock"])
    assert report.label.tolist() == [None, "vpn", "mail", "attack", "unlock"]
    assert report.total[2] == 0.0
    assert report.total[1] == np.sum(truth == "vpn")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y_true": CLASSES}, "as many rows, at least one: 3 and 400"),
        ({"classes": ["attack", "unlock"]}, "'vpn', which is not a class"),
        ({"classes": ["attack", "vpn", "unlock", "vpn"]}, "distinct"),
        ({"sample_weight": np.ones(3)}, "400 rows, got 3 weights"),
        ({"sample_weight": -np.ones(400)}, "not negative"),
        ({"sample_weight": np.zeros(400)}, "positive in at least one row"),
        ({"confidence_level": 1.5}, "confidence_level"),
        ({"confidence_level": 0.05}, "'confidence_level' parameter of routing_report"),
    ],
)
def test_bad_input_is_named(routed, change, message):
    truth, table, _ = routed
    with pytest.raises(ValueError, match=message):
        routing_report(**({"y_true": truth, "routes": table} | change))


def test_no_rows_are_refused(routed):
    truth, table, _ = routed
    with pytest.raises(ValueError, match="at least one: 0 and 0"):
        routing_report(truth[:0], table[:0])


def test_it_exports_and_prints(routed):
    truth, table, _ = routed
    report = routing_report(truth, table)
    assert len(report) == 4
    assert report.to_pandas().columns.tolist() == list(report.to_records()[0])
    assert report.to_polars()["auto"].to_list() == report.auto.tolist()
    assert repr(report).startswith("RoutingReport(400 rows, 3 classes: ")
    assert str(report).splitlines()[2].split()[0] == "(all)"
    assert "<table" in report._repr_html_()
    for text in (str(report), report._repr_html_()):
        assert "95% interval" in text
        assert "missed: rows of the class that were auto-routed to another one" in text
    assert "90% interval" in str(routing_report(truth, table, confidence_level=0.9))
    assert "confidence_level" not in report.to_pandas()


def test_many_rows_are_shown_with_all_their_digits(routed):
    truth, table, _ = routed
    report = routing_report(truth, table, sample_weight=np.full(400, 6003))
    assert "2401200 rows" in repr(report)
    assert str(report).splitlines()[2].split()[1] == "2401200"


def test_where_nothing_is_routed_nothing_is_said_to_be_wrong(routed):
    truth, table, _ = routed
    held = table.route != "auto"
    assert repr(routing_report(truth[held], table[held])).endswith(": 0.0% auto-routed)")


@pytest.mark.parametrize("missing", [None, np.nan])
def test_a_missing_label_is_not_a_class(routed, missing):
    truth, table, _ = routed
    with pytest.raises(ValueError, match="without missing values"):
        routing_report(np.append(truth[1:].astype(object), missing), table)
    with pytest.raises(ValueError, match="must not hold NaN; row 399"):
        routing_report(np.append(np.zeros(399), np.nan), table)


@pytest.mark.parametrize("weighted", [False, True])
def test_every_row_is_routed_or_held(routed, weighted):
    truth, table, weight = routed
    report = routing_report(truth, table, sample_weight=weight if weighted else None)
    held = report.watched + report.escalated + report.clarified
    assert_allclose(report.total[0], report.auto[0] + held[0])
    for name in COUNTS:
        figures = getattr(report, name)
        assert_allclose(figures[0], figures[1:].sum(), err_msg=name)
    assert_allclose(report.wrong.sum(), report.missed.sum())


@pytest.mark.parametrize("labels", [[7, 3, 5], [0.5, 2.5, 1.5]], ids=["int", "float"])
def test_labels_of_any_type_are_counted_alike(routed, labels):
    rng = np.random.default_rng(0)
    proba = rng.dirichlet([0.25, 0.4, 0.4], size=400)
    truth, _, weight = routed
    named = np.array(labels)[np.searchsorted(CLASSES, truth)]
    numbered = RoutePolicy().fit(proba, classes=labels).explain(proba)
    texts = RoutePolicy().fit(proba, classes=CLASSES).explain(proba)
    report = routing_report(named, numbered, classes=labels, sample_weight=weight)
    expected = routing_report(truth, texts, classes=CLASSES, sample_weight=weight)
    for name in COUNTS:
        assert_allclose(getattr(report, name), getattr(expected, name), err_msg=name)
    assert report.label.tolist() == [None, *labels]


@pytest.mark.parametrize("figure", [routing_report, routing_cost])
def test_labels_of_another_kind_match_by_their_text_or_are_refused(figure):
    proba = [[0.97, 0.03], [0.99, 0.01], [0.4, 0.6]]
    routes = RoutePolicy().fit(proba, classes=[0, 1]).explain(proba)
    assert str(figure(["0", "0", "1"], routes)) == str(figure([0, 0, 1], routes))
    with pytest.raises(ValueError, match="y_true must name the classes of the routes"):
        figure(["unlock", "vpn", "vpn"], routes)
    with pytest.raises(ValueError, match="routes must be a RouteTable"):
        figure([0, 0, 1], routes.route)
    with pytest.raises(ValueError, match="y_true is one: it comes first, the routes second"):
        figure(routes, [0, 0, 1])


def test_all_rows_may_be_wrong_whatever_the_weights():
    policy = RoutePolicy().fit([[0.5, 0.5]], classes=["a", "b"])
    rng = np.random.default_rng(0)
    for n in range(2, 200):
        weight = rng.exponential(size=n)
        # All wrong, but for one row of no weight in the midst of them.
        truth = np.where(np.arange(n) == n // 2, "a", "b")
        weight[n // 2] = 0.0
        report = routing_report(truth, policy.explain(np.tile([0.99, 0.01], (n, 1))), sample_weight=weight)
        assert (report.error[:2] == 1.0).all()
        assert (report.error_high[:2] == 1.0).all()


def test_rows_without_weight_do_not_decide_what_the_weights_are(routed):
    truth, table, weight = routed
    kept = weight > 0
    for scale in (1, 0.5):
        all_rows = routing_report(truth, table, classes=CLASSES, sample_weight=weight * scale)
        without = routing_report(truth[kept], table[kept], classes=CLASSES, sample_weight=weight[kept] * scale)
        for name, values in all_rows._columns().items():
            assert_array_equal(values, without._columns()[name], err_msg=name)


@pytest.mark.parametrize("figure", [routing_report, routing_cost])
def test_texts_of_which_none_is_the_label_of_a_route_are_refused(figure):
    proba = [[0.97, 0.03], [0.02, 0.98], [0.4, 0.6]]
    routes = RoutePolicy().fit(proba, classes=["unlock", "vpn"]).explain(proba)
    with pytest.raises(
        ValueError, match="must name the classes of the routes; it holds UNLOCK, VPN, the routes unlock"
    ):
        figure(["UNLOCK", "VPN", "VPN"], routes)
    figure(["unlock", "mail", "mail"], routes)


@pytest.mark.parametrize(
    ("figure", "expected"),
    [(lambda *rows: routing_report(*rows).wrong[0], 1.0), (lambda *rows: routing_cost(*rows, wrong_cost=7.0), 7.0)],
    ids=["routing_report", "routing_cost"],
)
def test_a_single_label_that_no_row_was_routed_to_is_a_wrong_row(figure, expected):
    proba = [[0.97, 0.03]]
    assert figure(["vpn"], RoutePolicy().fit(proba, classes=["unlock", "vpn"]).explain(proba)) == expected
