import numpy as np
import pytest
from sklearn.datasets import make_classification


@pytest.fixture
def data():
    """Draw rows of overlapping classes, integer weights included."""

    def draw(n_classes=3, n_rows=240, labels=None, seed=0):
        X, y = make_classification(
            n_rows, 6, n_informative=4, n_redundant=0, n_classes=n_classes, flip_y=0.1, random_state=seed
        )
        weight = np.random.default_rng(seed).integers(1, 4, size=n_rows).astype(float)
        return X, y if labels is None else np.array(labels)[y], weight

    return draw
