"""What the recipes allow: other classifiers on exact features, and other cuts of the same records.

    python -m benchmarks.vsa.ceiling [features] [splits]

`features`: columns for exact ingredients, words, both, word pairs or words and n-grams, under five classifiers, on the
cut of `benchmarks.vsa.learning` (first 2,000, last 500). `splits`: the encoder and the best of those on ten random cuts
of the same sizes, since 500 records do not tell two points from chance. What is chosen (strength, whether columns
are weighed by IDF) is chosen by accuracy in five folds of the train part; two ways to deal the folds. scikit-learn is
needed beside the package.
"""

from __future__ import annotations

import itertools
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy import stats
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.naive_bayes import ComplementNB
from sklearn.pipeline import Pipeline
from sklearn.svm import SVC, LinearSVC

import vsa
from benchmarks.vsa.learning import DIM, TASKS, bags, features, leaves
from vsa.tokens import words

PARTS = ("features", "splits")
DEALS = 2
SPLITS = 10
TASK = next(task for task in TASKS if task.name == "recipes")


def plain(record: Any) -> Iterator[str]:
    """Words of the ingredients."""
    for ingredient in record["ingredients"]:
        yield from words(ingredient)


def both(record: Any) -> Iterator[str]:
    """Ingredients and their words."""
    yield from leaves(record)
    yield from plain(record)


def paired(record: Any) -> Iterator[str]:
    """The same, with words that follow each other."""
    yield from both(record)
    for ingredient in record["ingredients"]:
        yield from (" ".join(pair) for pair in itertools.pairwise(words(ingredient)))


SETS = {
    "ingredients": leaves,
    "words": plain,
    "ingredients and words": both,
    "ingredients, words, word pairs": paired,
    "words and n-grams": features,
}
MODELS: dict[str, tuple[Any, dict[str, list[Any]]]] = {
    "logistic regression": (LogisticRegression(max_iter=500, tol=1e-3), {"model__C": [1, 3, 10, 30]}),
    "linear SVM": (LinearSVC(), {"model__C": [0.03, 0.1, 0.3, 1]}),
    "SVM with Gaussian kernel": (SVC(), {"model__C": [3, 10], "model__gamma": [0.3, 1]}),
    "complement naive Bayes": (ComplementNB(), {"model__alpha": [0.1, 0.3, 1]}),
    "500 random trees": (RandomForestClassifier(500, random_state=0), {}),
}


def learn(X: Any, y: np.ndarray, n_train: int, model: str, deal: int, *, weigh: bool) -> tuple[float, float]:
    """Accuracy on the test part and, of what was chosen, in the folds."""
    made, grid = MODELS[model]
    columns = ["passthrough", TfidfTransformer()] if weigh else ["passthrough"]
    folds = StratifiedKFold(5, shuffle=True, random_state=deal)
    search = GridSearchCV(
        Pipeline([("columns", "passthrough"), ("model", made)]), {"columns": columns, **grid}, cv=folds
    ).fit(X[:n_train], y[:n_train])
    return float(search.score(X[n_train:], y[n_train:])), float(search.best_score_)


def interval(share: float, n: int) -> str:
    """Clopper and Pearson's interval of 95 %."""
    found = stats.binomtest(round(share * n), n).proportion_ci()
    return f"[{found.low:.3f}, {found.high:.3f}]"


def on_features() -> None:
    """Exact features under each classifier."""
    bare, y = TASK.read()
    print("| columns | classifier | accuracy on the test part | its 95 % | in the folds |\n|---|---|---|---|---|")
    for (what, names), model in itertools.product(SETS.items(), MODELS):
        slow = "trees" in model or "Gaussian" in model
        if slow and names is features:  # tens of thousands of columns
            continue
        X = bags(bare, names, TASK.n_train)
        deals = range(1 if slow else DEALS)
        found = [learn(X, y, TASK.n_train, model, deal, weigh="trees" not in model) for deal in deals]
        tested, inside = np.mean(found, axis=0)
        print(
            f"| {what} | {model} | {tested:.3f} | {interval(tested, len(y) - TASK.n_train)} | {inside:.3f} |",
            flush=True,
        )


def on_splits() -> None:
    """The encoder and exact words on random cuts."""
    bare, y = TASK.read()
    rows: dict[str, list[float]] = {}
    for seed in range(SPLITS):
        order = np.random.default_rng(seed).permutation(len(y))
        cut, labels = [bare[i] for i in order], y[order]
        for fitted in (False, True):
            encoder = vsa.JSONEncoder(DIM, seed=seed, arrays="bag" if fitted else "both")
            if fitted:
                encoder.fit(cut[: TASK.n_train])
            X = encoder.encode(cut)
            name = "vsa, fitted, arrays bag" if fitted else "vsa, the default"
            found = learn(X, labels, TASK.n_train, "logistic regression", seed, weigh=False)
            rows.setdefault(f"{name}, logistic regression", []).append(found[0])
        exact = bags(cut, plain, TASK.n_train)
        for model in ("logistic regression", "linear SVM"):
            rows.setdefault(f"words, a column each, {model}", []).append(
                learn(exact, labels, TASK.n_train, model, seed, weigh=True)[0]
            )
    print(f"| on {SPLITS} random cuts | mean accuracy | range |\n|---|---|---|")
    for name, found in rows.items():
        print(f"| {name} | {np.mean(found):.4f} | [{min(found):.3f}, {max(found):.3f}] |")


def main() -> None:
    """Print the tables."""
    parts = sys.argv[1:] or list(PARTS)
    if unknown := set(parts) - set(PARTS):
        sys.exit(f"parts are {', '.join(PARTS)}; not {', '.join(sorted(unknown))}")
    warnings.simplefilter("ignore", ConvergenceWarning)
    if "features" in parts:
        on_features()
        print()
    if "splits" in parts:
        on_splits()


if __name__ == "__main__":
    main()
