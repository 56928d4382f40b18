import numpy as np
import pytest


def draw(chances, rng):
    """Return the position of a class for each row, drawn with the chances in that row."""
    return (rng.random((len(chances), 1)) > np.cumsum(chances, axis=1)[:, :-1]).sum(axis=1)


@pytest.fixture(params=["binary", "multiclass"])
def sample(request):
    """Labels, probabilities with ties and with zeros, and whole weights with zeros; too bold on the whole."""
    rng = np.random.default_rng(3)
    classes = np.array(["attack", "mail", "unlock", "vpn"][: 2 if request.param == "binary" else 4])
    chances = rng.dirichlet(np.full(len(classes), 0.6), size=300)
    bold = chances**1.4
    proba = np.round(bold / bold.sum(axis=1, keepdims=True) * 40) / 40
    proba[np.arange(300), proba.argmax(axis=1)] += 1.0 - proba.sum(axis=1)
    return classes[draw(chances, rng)], np.clip(proba, 0.0, 1.0), classes, rng.integers(0, 4, size=300)


@pytest.fixture
def forecasts():
    """Outcomes, forecasts of them with some ties, and whole weights."""
    rng = np.random.default_rng(5)
    stated = rng.beta(1.1, 0.8, size=400)
    stated[::3] = np.round(stated[::3], 1).clip(0.05, 0.95)
    return rng.random(400) < stated**1.3, stated, rng.integers(1, 4, size=400)


@pytest.fixture
def log_of():
    """Return a function that says "this event will happen" with a confidence, as arguments of every figure."""

    def arguments(happened, stated):
        happened = np.asarray(happened, dtype=bool)
        always = np.ones(len(happened), dtype=bool)
        return {"y_true": happened, "y_pred": always, "confidence": stated, "classes": [False, True]}

    return arguments


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(240, 4))
    y = np.array(["attack", "unlock", "vpn"])[np.argmax(2 * X[:, :3] + rng.gumbel(size=(240, 3)), axis=1)]
    return X, y, rng.integers(1, 4, size=240).astype(float)
