"""Route network records, with a security class of a few rows.

Tabular data with text columns and a very rare class: which classes can be trusted, and what is routed? Run as

    python examples/network_records.py nsl_kdd.csv.gz

on a CSV file with the NSL-KDD columns (41 features, three of them text), a column `label`, and a column `split` that
holds "train", "valid" and "test". Without a file it runs on generated records.
"""

import sys

import numpy as np
import polars as pl
from sklearn.compose import make_column_transformer
from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from skroute import RoutePolicy, RoutingClassifier
from skroute.metrics import routing_report


def read_records(path):
    """Return the features, labels and splits of a file."""
    frame = pl.read_csv(path, infer_schema_length=None)
    X = frame.drop("attack", "difficulty", "label", "split", strict=False)
    return X, frame["label"].to_numpy(), frame["split"].to_numpy()


def make_records(n_samples=6000):
    """Return generated records of four classes, one of them very rare."""
    X, codes = make_classification(
        n_samples, 12, n_informative=8, n_classes=4, weights=[0.55, 0.35, 0.095, 0.005], random_state=0
    )
    frame = pl.DataFrame(X, schema=[f"f{i}" for i in range(12)]).with_columns(
        protocol=pl.Series(np.where(X[:, 0] > 0, "tcp", "udp"))
    )
    labels = np.array(["normal", "dos", "probe", "intrusion"])[codes]
    return frame, labels, np.where(np.arange(n_samples) % 3 == 0, "test", "train")


def main(path=None):
    """Fit, and print what each class is worth and where its rows go."""
    X, y, split = read_records(path) if path else make_records()
    fit, test = np.flatnonzero(split != "test"), np.flatnonzero(split == "test")
    texts = [name for name, kind in X.schema.items() if kind == pl.String]
    model = make_pipeline(
        make_column_transformer((OneHotEncoder(handle_unknown="ignore"), texts), remainder="passthrough"),
        RandomForestClassifier(200, min_samples_leaf=2, random_state=0, n_jobs=-1),
    )
    rare = min(set(y), key=lambda label: np.count_nonzero(y == label))
    router = RoutingClassifier(model, policy=RoutePolicy(watch={rare: 0.2})).fit(X[fit], y[fit])
    print("Out-of-fold reliability of the rows it was fitted on:")
    print(router.reliability_.summary(), "\n")
    print("Routes of the test rows:")
    print(routing_report(y[test], router.explain_route(X[test]), classes=router.classes_))


if __name__ == "__main__":
    main(*sys.argv[1:2])
