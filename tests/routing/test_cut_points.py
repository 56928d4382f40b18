import numpy as np
import pytest
from routing.hard_cases import hard_rows

from skroute import RoutePolicy
from skroute.routing._audit import entropy_needs
from skroute.routing._cut_points import entropy_cuts, margin_cuts
from skroute.routing._signals import entropy_signal, measure


@pytest.mark.parametrize(("level", "n_classes", "equal"), [(0.5, 4, 2), (0.5, 16, 4), (1 / 3, 8, 2), (0.75, 16, 8)])
def test_a_level_at_a_corner_of_the_least_entropy_has_a_cut(level, n_classes, equal):
    """Rows of so many equal shares have this entropy, and no smaller confidence allows for less."""
    assert entropy_needs(level, n_classes) == pytest.approx(1.0 / equal, abs=1e-8)
    audit = RoutePolicy(max_entropy=level, escalate_entropy=level).audit(n_classes)
    assert audit.of("max_entropy").lower == pytest.approx(1.0 / equal, abs=1e-8)


@pytest.mark.parametrize("n_classes", [2, 3, 7, 20, 300])
@pytest.mark.parametrize("level", [0.0, 0.1, 0.45, 0.8, 0.999, 1.0])
def test_rows_beyond_the_cut_points_have_entropies_beyond_the_level(n_classes, level):
    low, high = entropy_cuts(level, n_classes)
    proba = hard_rows(n_classes, np.random.default_rng(5))
    signals = measure(proba)
    assert (signals.entropy[signals.confidence < low] > level).all()
    assert (signals.entropy[signals.confidence >= high] < level).all()
    margin_low, margin_high = margin_cuts(level, n_classes)
    assert (signals.margin[signals.confidence < margin_low] < level).all()
    assert (signals.margin[signals.confidence >= margin_high] >= level).all()


@pytest.mark.parametrize(("level", "ends"), [(0.45, (0.8043, 0.8630)), (0.80, (0.4699, 0.6584))])
def test_cut_points_of_three_classes_are_extremes_that_a_search_finds(level, ends):
    def entropy(share, top):
        return float(entropy_signal(np.array([[top, (1 - top) * share, (1 - top) * (1 - share)]]))[0])

    low, high = entropy_cuts(level, 3)
    # The cut points are set apart by what the sums may be off, half a percent.
    assert low == pytest.approx(ends[0] * 0.995, abs=1e-4)
    assert high == pytest.approx(ends[1] * 1.005, abs=1e-4)
    shares = np.linspace(max(0.0, 2 - 1 / (1 - ends[0])) if ends[0] < 0.5 else 0.0, 0.5, 1001)
    least = [min(entropy(s, top) for s in shares if (1 - top) * (1 - s) <= top) for top in ends]
    most = [max(entropy(s, top) for s in shares) for top in ends]
    assert least[0] == pytest.approx(level, abs=1e-3)
    assert most[1] == pytest.approx(level, abs=1e-3)
