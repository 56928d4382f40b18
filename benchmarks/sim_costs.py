"""Answer what a policy costs on new rows: both rules, hand-set numbers, and a search by trials, against the oracle.

Three classes, of which one is rare and dear to miss, drawn from normal distributions, so that the true probabilities
are known. Policies are fitted on n rows and priced on new ones. Probabilities are the true ones ("calibrated") or
sharpened by a temperature of 0.5 ("overconfident"), and vector scaling is fitted to them on the same n rows. Then the
bound on reviews: the share of new rows that go to people.

    python benchmarks/sim_costs.py [--quick]

Optuna, where it is installed, tries 100 settings of all seven numbers of a policy.
"""

import argparse
import time
import warnings

import numpy as np
from _common import environment, optional

from skroute import RoutePolicy
from skroute.calibration import VectorCalibrator
from skroute.exceptions import DeadGateWarning
from skroute.policies import CostPolicy, RoutingCosts

CLASSES = ("unlock", "vpn", "security")
COSTS = RoutingCosts(
    {
        "unlock": {"unlock": 0, "vpn": 5, "security": 20, "watch": 4, "escalate": 8, "clarify": 3},
        "vpn": {"unlock": 5, "vpn": 0, "security": 20, "watch": 4, "escalate": 8, "clarify": 3},
        "security": {"unlock": 200, "vpn": 200, "security": 0, "watch": 5, "escalate": 1, "clarify": 60},
    }
)
MATRIX = COSTS.matrix(CLASSES)
SHARES = np.array([0.6, 0.37, 0.03])
MEANS = np.array([[0.0, 0.0, 0.0, 0.0], [1.8, 0.5, 0.0, 0.0], [0.6, 0.9, 1.8, 0.4]])
LESSON = RoutePolicy(
    thresholds={"unlock": 0.80, "vpn": 0.72, "security": 0.60}, watch={"security": 0.34}, watch_order="after"
)
TRIALS, NEW_ROWS = 100, 60_000
RATES = (0.05, 0.10, 0.20)
ACTIONS = {"watch": 3, "escalate": 4, "clarify": 5}


def draw(n, rng):
    """Return positions of true classes, and their true probabilities."""
    y = rng.choice(3, n, p=SHARES)
    X = MEANS[y] + rng.standard_normal((n, 4))
    return y, softmax(X @ MEANS.T - (MEANS**2).sum(axis=1) / 2 + np.log(SHARES))


def softmax(scores):
    """Return rows of probabilities."""
    odds = np.exp(scores - scores.max(axis=1, keepdims=True))
    return odds / odds.sum(axis=1, keepdims=True)


def price(policy, y, proba):
    """Return the mean cost of rows, and the share that goes to people."""
    table = policy.explain(proba)
    columns = {label: i for i, label in enumerate(CLASSES)} | ACTIONS
    names = np.where(table.route == "auto", table.label, table.route)
    actions = np.vectorize(columns.get)(names)
    return MATRIX[y, actions].mean(), np.mean(actions >= 3)


def timed(fit):
    """Return what a call returns, and its seconds."""
    start = time.perf_counter()
    result = fit()
    return result, time.perf_counter() - start


def by_trials(optuna, y, proba, seed):
    """Return the best policy of a number of trials, by its cost on the labels."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)

    def policy_of(numbers):
        policy = RoutePolicy(
            thresholds={label: numbers[label] for label in CLASSES},
            margin=numbers["margin"],
            max_entropy=numbers["max_entropy"],
            escalate_entropy=numbers["escalate_entropy"],
            watch={"security": numbers["watch"]},
        )
        return RoutePolicy.from_dict(policy.to_dict() | {"classes": list(CLASSES)})

    def objective(trial):
        numbers = {label: trial.suggest_float(label, 0.3, 1.0) for label in CLASSES}
        numbers |= {name: trial.suggest_float(name, 0.0, 1.0) for name in ("margin", "max_entropy")}
        numbers["escalate_entropy"] = trial.suggest_float("escalate_entropy", 0.3, 1.0)
        numbers["watch"] = trial.suggest_float("watch", 0.005, 0.5, log=True)
        return price(policy_of(numbers), y, proba)[0]

    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
    study.optimize(objective, n_trials=TRIALS)
    return policy_of(study.best_params)


def costs_of(kind, n, seed, optuna):
    """Return the cost on new rows and the seconds of every method, for one draw."""
    rng = np.random.default_rng(seed)
    (y, true), (y_new, true_new) = draw(n, rng), draw(NEW_ROWS, rng)
    sharpness = 1.0 if kind == "calibrated" else 2.0
    raw, raw_new = (softmax(sharpness * np.log(p)) for p in (true, true_new))
    scaling, seconds = timed(lambda: VectorCalibrator().fit(np.log(raw), y))
    proba, proba_new = scaling.predict_proba(np.log(raw)), scaling.predict_proba(np.log(raw_new))
    labels = np.array(CLASSES)[y]
    bayes, thresholds = CostPolicy(COSTS), CostPolicy(COSTS, rule="thresholds")
    from_labels = CostPolicy(COSTS, rule="thresholds", cost_source="labels")
    cases = {
        "oracle: bayes, true probabilities": (bayes, true, true_new),
        "bayes, as they are": (bayes, raw, raw_new),
        "bayes, recalibrated": (bayes, proba, proba_new),
        "thresholds, as they are": (thresholds, raw, raw_new),
        "thresholds, recalibrated": (thresholds, proba, proba_new),
        "thresholds from labels, recalibrated": (from_labels, proba, proba_new),
        "the lesson's numbers, as they are": (LESSON, raw, raw_new),
    }
    results = {}
    for name, (policy, seen, unseen) in cases.items():
        fitted, spent = timed(lambda policy=policy, seen=seen: policy.fit(seen, labels, classes=CLASSES))
        results[name] = (price(fitted, y_new, unseen)[0], spent)
    if optuna is not None:
        fitted, spent = timed(lambda: by_trials(optuna, y, proba, seed))
        results[f"{TRIALS} trials of Optuna, recalibrated"] = (price(fitted, y_new, proba_new)[0], spent)
    results["(vector scaling)"] = (np.nan, seconds)
    return results


def print_costs(kind, n, draws, optuna):
    """Print a table of costs."""
    runs = [costs_of(kind, n, seed, optuna) for seed in range(draws)]
    oracle = np.array([run["oracle: bayes, true probabilities"][0] for run in runs])
    print(f"\n{kind} probabilities, {n} rows, {draws} draws")
    print(f"{'policy':<40}{'cost':>8}{'se':>7}{'over oracle %':>15}{'se':>6}{'ms: median':>12}{'least':>8}{'most':>8}")
    for name in runs[0]:
        cost, seconds = np.array([run[name] for run in runs]).T
        over = 100 * (cost / oracle - 1)
        spread = [values.std(ddof=1) / np.sqrt(draws) for values in (cost, over)]
        times = 1e3 * np.array([np.median(seconds), seconds.min(), seconds.max()])
        print(
            f"{name:<40}{cost.mean():8.3f}{spread[0]:7.3f}{over.mean():15.2f}{spread[1]:6.2f}"
            f"{times[0]:12.1f}{times[1]:8.1f}{times[2]:8.1f}",
            flush=True,
        )


def print_rates(n, draws):
    """Print the share of new rows that go to people under a bound."""
    print(f"\nBound on reviews, calibrated probabilities, {n} rows, {draws} draws")
    headings = ("bound", "rows of fit", "new rows", "sd", "z mean", "z most", "cost", "price")
    print(f"{'rule':<12}" + "".join(f"{heading:>12}" for heading in headings))
    for rule in ("bayes", "thresholds"):
        for rate in RATES:
            found = []
            for seed in range(draws):
                rng = np.random.default_rng(seed)
                (_, true), (y_new, true_new) = draw(n, rng), draw(NEW_ROWS, rng)
                policy = CostPolicy(COSTS, rule=rule, max_review_rate=rate).fit(true, classes=CLASSES)
                cost, share = price(policy, y_new, true_new)
                seen = np.mean(policy.decide(true) != "auto")
                found.append((seen, share, cost, policy.shadow_price_))
            seen, share, cost, shadow = np.array(found).T
            # The price is a quantile of n rows, and the share is counted on the new ones.
            z = (share - rate) / np.sqrt(rate * (1 - rate) * (1 / n + 1 / NEW_ROWS))
            figures = (
                rate,
                seen.mean(),
                share.mean(),
                share.std(ddof=1),
                z.mean(),
                z.max(),
                cost.mean(),
                shadow.mean(),
            )
            print(f"{rule:<12}" + "".join(f"{figure:12.4f}" for figure in figures), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="2 draws in place of 16")
    draws = 2 if parser.parse_args().quick else 16
    optuna = optional("optuna")
    # The lesson's thresholds are dead beside its other gates, which is part of what it costs.
    warnings.simplefilter("ignore", DeadGateWarning)
    for kind in ("calibrated", "overconfident"):
        for n in (500, 3000):
            print_costs(kind, n, draws, optuna)
    print_rates(3000, draws)
    print(environment("optuna"))


if __name__ == "__main__":
    main()
