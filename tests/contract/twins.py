"""Every estimator as scikit-learn's checks want it: ``fit(X, y)``, with a treatment made row by row from X.

The checks compare fits on subsets and repeated rows, so that a row must have the same arm wherever it stands: the arm
is a hash of the row. A hash of all columns is determined by no covariate and unrelated to any, so overlap is fine.
"""

import inspect

import numpy as np
import pandas as pd

import pandas_causal

FURTHER = {"running", "time", "mediators", "instrument"}  # roles without which a design is none


def fast(cls, **settings):
    """An instance whose nuisance models fit in milliseconds, and fit small samples."""
    defaults = cls().get_params()
    quick = {name: "ridge" for name, value in defaults.items() if value == "auto" or name == "propensity_model"}
    if "learners" in defaults:
        models = {"outcome_model": "linear", "propensity_model": "ridge", "final_model": "linear", "cv": 2}
        members = [pandas_causal.DRLearner(**models)]
        quick |= {"learners": members, "cv": 2}
    if "n_estimators" in defaults:
        quick |= {"n_estimators": 40, "min_samples_leaf": 5}
    return cls(**{**quick, **settings})


def arm_of_rows(X):
    """0 or 1 for every row of X: a hash of its values, the same wherever the row stands."""
    values = X.to_numpy() if hasattr(X, "to_numpy") else np.asarray(X)
    if values.ndim != 2:
        return np.zeros(len(values), dtype=int)
    total = np.zeros(len(values))
    for j, column in enumerate(values.T if values.dtype.kind != "c" else values.T.real):
        numbers = pd.to_numeric(pd.Series(column), errors="coerce").fillna(0.0).clip(-1e9, 1e9)
        total += np.round(numbers.to_numpy(dtype=float), 6) * (j + np.sqrt(2))
    return (np.abs(np.sin(total * 12.9898) * 43758.5453) % 1 > 0.5).astype(int)


def _arms(X):
    try:
        return arm_of_rows(X)
    except (TypeError, ValueError, IndexError):  # the estimator must say what is wrong with this X, not we
        return np.zeros(1, dtype=int)


def _twin(cls):
    def fit(self, X, y=None, sample_weight=None):
        return cls.fit(self, X, y, treatment=_arms(X), sample_weight=sample_weight)

    def tags_of(self):
        tags = cls.__sklearn_tags__(self)
        # With this tag scikit-learn rounds X and takes its first column as y, a copy that we refuse.
        tags.input_tags.categorical = False
        return tags

    members = {"fit": fit, "__sklearn_tags__": tags_of, "__module__": __name__, "__doc__": cls.__doc__}
    if hasattr(cls, "score"):

        def score(self, X, y=None, sample_weight=None):
            return cls.score(self, X, y, treatment=_arms(X), sample_weight=sample_weight)

        members["score"] = score
    return type(f"{cls.__name__}Twin", (cls,), members)


def cross_sectional():
    """Estimators that compare arms of rows; curves, and designs with further roles have their own tests."""
    classes = pandas_causal.all_estimators()
    return [
        cls
        for cls in classes
        if not FURTHER & set(inspect.signature(cls.fit).parameters) and not getattr(cls, "curve", False)
    ]


TWINS = {cls: _twin(cls) for cls in cross_sectional()}
globals().update({twin.__name__: twin for twin in TWINS.values()})  # module level, so that they can be pickled
