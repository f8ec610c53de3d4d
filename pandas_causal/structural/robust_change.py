"""Why a target's mean or variance moved, by regressions and density ratios that correct one another.

For a choice C of old and new mechanisms, ``theta(C) = E_C[Y]`` is a chain of regressions, from the target up: a node
is averaged out given its parents in the frame that C takes its mechanism from. The error of each regression is averaged
in that same frame, with the ratio of the densities of the nodes above as a weight, and added. The estimate is right if,
step by step, either the regressions or the ratios are.

References
----------
Quintas-Martinez, Bahadori, Santiago, Mu, Janzing and Heckerman (2024), "Multiply-robust causal change attribution",
ICML, theorem 3.2. Regressions and ratios are on parents in place of all nodes before, as the graph allows.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from pandas_causal.effect.check import Check
from pandas_causal.effect.effect import Effect
from pandas_causal.errors import CausalArgumentError, CausalDataError, OverlapError, OverlapWarning, warn
from pandas_causal.inference.influence import Component, Influence
from pandas_causal.inference.rows import RowIdentity
from pandas_causal.inputs.types import Model
from pandas_causal.kernels.arrays import Bools, Floats, Positions, Values
from pandas_causal.models import nuisance as nuisances
from pandas_causal.models.cross_fitting import MODEL_NAMES, make_model, weighted_fit
from pandas_causal.models.folds import assign_folds
from pandas_causal.models.linear import StandardisedMatrix, invert_gram
from pandas_causal.structural.attribution import AttributionSettings
from pandas_causal.structural.change import ChangeQuestion, change_effect, read_change
from pandas_causal.structural.fitted import FittedModel
from pandas_causal.structural.mechanisms import Own
from pandas_causal.structural.shapley import shapley_arrays
from pandas_causal.structural.target_statistics import ADDITIVE

__all__ = ["RobustModels", "robust_change"]

_FOLDS = 5
_FEWEST = 20
_CLIP = 0.005  # of a classifier's probabilities: a ratio is at most about 200
_APART = 0.5  # share of rows whose frame is certain, beyond which no ratio is believed
_RIGID = ("linear", "ridge", "given function", "empirical")
_WEAK = 0.1  # effective share of rows under which overlap is called weak


@dataclass(frozen=True, kw_only=True)
class RobustModels:
    """Nuisances of the robust form.

    Attributes
    ----------
    regression_model : model
        "auto" is linear where all mechanisms are (with squares and products for a variance, a split and discrete
        nodes), else boosting.
    ratio_model : model
        Of the frame that a row is from; "auto" is the better of a logistic regression with squares and products and
        boosting, by out-of-fold log loss.
    """

    regression_model: Model = "auto"
    ratio_model: Model = "auto"

    def checked(self) -> RobustModels:
        """Return itself, or raise CausalArgumentError for what is no model."""
        for name, method in (("regression_model", "predict"), ("ratio_model", "predict_proba")):
            spec = getattr(self, name)
            named = isinstance(spec, str) and spec in MODEL_NAMES
            if not named and (isinstance(spec, str | type) or not hasattr(spec, method)):
                raise CausalArgumentError(
                    f"{name} must be one of {list(MODEL_NAMES)} or a scikit-learn model with {method}(); got {spec!r}"
                )
        return self


def robust_change(
    model: FittedModel,
    frames: tuple[pd.DataFrame | None, pd.DataFrame],
    target: Hashable,
    of: Any,
    by: Hashable,
    settings: AttributionSettings,
    models: RobustModels,
) -> Effect:
    """Attribution with contributions of the rows; see :meth:`StructuralModel.attribute_change`."""
    if not isinstance(of, str) or of not in ADDITIVE:
        raise CausalArgumentError(f"form='robust' attributes {' and '.join(ADDITIVE)}; got of={of!r}")
    if by is not None and of != "mean":
        raise CausalArgumentError("form='robust' splits a mean by levels; use form='simulated' for a variance")
    models.checked()
    question = read_change(model, frames, target, of, by, settings)
    for name, n in zip(("old", "new"), question.sizes, strict=True):
        if n < _FEWEST:
            raise CausalDataError(f"the {name} frame has {n} rows; form='robust' needs {_FEWEST} to cross-fit on")
    function = _Function(question, models)
    n_out = function.n_out
    subsets = settings.of_subsets(len(question.players), 8 * sum(question.sizes), watched=n_out)
    found = shapley_arrays(function, pd.Index(question.players, name="mechanism", tupleize_cols=False), subsets)
    n, k = sum(question.sizes), len(question.players)
    values = found.values[:, :n_out].ravel()
    contributions = found.values[:, n_out:].reshape(k, n, n_out).transpose(1, 0, 2).reshape(n, k * n_out)
    rows = RowIdentity(pd.RangeIndex(n).rename("independent rows"), function.outcome)
    components = [Component(contributions.T @ contributions)]
    if not found.exact:
        components.append(Component(np.diag(np.square(found.std_errors[:, :n_out].ravel()))))
    influence = Influence.from_contributions(
        values, contributions, rows, names=question.index, components=tuple(components)
    )
    ends = tuple(float(part[:n_out].sum()) + function.centre for part in (found.empty, found.full))
    method = f"influence functions, multiply robust, cross-fitted in {_FOLDS} folds, frames independent"
    check = function.overlap()
    warned = []
    if check.passed is False:
        warned.append(f"weak overlap of the frames: {check.summary}; the answer leans on the regressions")
        warn(warned[-1], OverlapWarning)
    return change_effect(question, values, influence, (ends[0], ends[1]), method, {"overlap": check}, warned)


# -- the set function ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Function:
    """theta(C) of a batch of choices C with the contributions of all rows, old ones first."""

    question: ChangeQuestion
    models: RobustModels

    @cached_property
    def values(self) -> dict[Any, Values]:
        """Values of both frames, one above the other."""
        q = self.question
        return {node: np.concatenate([q.old[node], q.new[node]]) for node in q.players}

    @cached_property
    def is_new(self) -> Bools:
        """Which rows are of the new frame."""
        return np.repeat([False, True], self.question.sizes)

    @cached_property
    def folds(self) -> Positions:
        """Fold of every row, dealt within the frames."""
        rng = np.random.default_rng(self.question.model.settings.seed)
        return assign_folds(self.is_new.astype(np.intp), _FOLDS, rng)

    @cached_property
    def outcome(self) -> Floats:
        """The target as numbers."""
        return self.question.model.numbers(self.question.target, self.values[self.question.target])

    @property
    def centre(self) -> float:
        """What the values leave out where a dimension splits the mean: the old mean."""
        split = self.question.by is not None and self.question.of == "mean"
        return float(self.outcome[~self.is_new].mean()) if split else 0.0

    @property
    def n_out(self) -> int:
        """Outputs: the levels of the dimension, or one."""
        return 1 if self.question.by is None else len(self.question.levels)

    @cached_property
    def steps(self) -> list[tuple[Any, tuple[Any, ...]]]:
        """Nodes from the target up, each with the nodes that its average is a function of."""
        q = self.question
        reads = {q.target} | ({q.by} if q.by is not None else set())
        out = []
        for node in reversed(q.players):
            if node in reads:
                reads = (reads - {node}) | set(q.model.simulator.parents[node])
                out.append((node, tuple(n for n in q.players if n in reads)))
        return out

    @cached_property
    def log_ratios(self) -> dict[Any, Floats]:
        """Log of p_new(node | parents) / p_old(node | parents), out of fold, for nodes that are averaged over."""
        simulator = self.question.model.simulator
        out = {}
        for node in self.question.players[:-1]:
            parents = simulator.parents[node]
            out[node] = self._log_odds((node, *parents)) - (self._log_odds(parents) if parents else 0.0)
        return out

    def _features(self, nodes: tuple[Any, ...]) -> Floats:
        columns = [self.question.model.columns[n] for n in nodes]
        return np.hstack([column.features(self.values[column.name]) for column in columns])

    def _log_odds(self, nodes: tuple[Any, ...]) -> Floats:
        """Log of the ratio of densities of some nodes, new to old."""
        X, arms = self._features(nodes), self.is_new.astype(np.intp)
        rows = nuisances.TrainingRows(X, arms, 2)
        spec = self.models.ratio_model
        candidates: list[Any] = [spec]
        if isinstance(spec, str) and spec == "auto":
            candidates = [_quadratic_logistic(), "boosting"]
        seed = self.question.model.settings.seed
        fits = []
        for candidate in candidates:
            try:
                fits.append(nuisances.fit_propensity(candidate, rows, self.folds, random_state=seed))
            except OverlapError as error:
                raise OverlapError(
                    f"{', '.join(map(str, nodes))} tell the old frame from the new one without error, so that neither"
                    " can be weighted to the other; use form='simulated', or compare frames that overlap"
                ) from error
        best = min(fits, key=lambda fit: fit.losses[0])
        chance = best.predictions[:, 1]
        if np.mean((chance < _CLIP) | (chance > 1 - _CLIP)) > _APART:  # bounded, they would look like equal weights
            raise OverlapError(
                f"{', '.join(map(str, nodes))} tell the old frame from the new one in nearly every row, so that neither"
                " can be weighted to the other; use form='simulated', or compare frames that overlap"
            )
        p = np.clip(chance, _CLIP, 1 - _CLIP)
        n_old, n_new = self.question.sizes
        return np.asarray(np.log(p / (1 - p)) + np.log(n_old / n_new))

    def overlap(self) -> Check:
        """Effective share of the rows of each frame, weighted to the other by the ratio of each mechanism."""
        rows = []
        for node, log_ratio in self.log_ratios.items():
            shares = []
            for part, sign in ((~self.is_new, 1.0), (self.is_new, -1.0)):
                w = np.exp(sign * log_ratio[part])
                shares.append(float(np.square(w.sum()) / np.square(w).sum() / len(w)))
            rows.append((node, *shares))
        table = pd.DataFrame(rows, columns=["mechanism", "share_old", "share_new"]).set_index("mechanism")
        if not len(table):
            return Check(None, table, "no mechanism above the target")
        least = float(table.to_numpy().min())
        where = str(table.min(axis=1).idxmin())
        return Check(least >= _WEAK, table, f"smallest effective share of rows {100 * least:.0f}%, by {where}")

    # -- the chain -------------------------------------------------------------------------------------------------

    def __call__(self, masks: Bools) -> Floats:
        q = self.question
        y = self.outcome - self.centre
        if q.by is not None:
            of_level = [(self.values[q.by] == b).astype(float) for b in range(self.n_out)]
            found = [self._of_level(masks, y, inside) for inside in of_level]
        elif q.of == "mean":
            scores = self._scores(masks, y)
            found = [(self._mean(scores), self._contributions(scores))]
        else:
            found = [self._variance(masks, y)]
        flat = np.stack([part for _, part in found], axis=2).reshape(len(masks), -1)
        return np.concatenate([np.stack([value for value, _ in found], axis=1), flat], axis=1)

    def _variance(self, masks: Bools, y: Floats) -> tuple[Floats, Floats]:
        """Variance (m,) and contributions (m, n), by the delta method."""
        first, second = self._scores(masks, y), self._scores(masks, np.square(y))
        mean = self._mean(first)
        contributions = self._contributions(second) - 2 * mean[:, None] * self._contributions(first)
        return self._mean(second) - np.square(mean), contributions

    def _of_level(self, masks: Bools, y: Floats, inside: Floats) -> tuple[Floats, Floats]:
        """Part of the mean (m,) in one level, from the old mean on, and contributions, those of that mean included."""
        scores, shares = self._scores(masks, y * inside), self._mean(self._scores(masks, inside))
        old = ~self.is_new
        of_centre = np.where(old, y, 0.0) / old.sum()
        return self._mean(scores), self._contributions(scores) - shares[:, None] * of_centre

    def _mean(self, scores: Floats) -> Floats:
        return np.asarray(sum(scores[:, part].mean(axis=1) for part in (~self.is_new, self.is_new)))

    def _contributions(self, scores: Floats) -> Floats:
        out = np.empty_like(scores)
        for part in (~self.is_new, self.is_new):
            out[:, part] = (scores[:, part] - scores[:, part].mean(axis=1, keepdims=True)) / part.sum()
        return out

    def _scores(self, masks: Bools, h: Floats) -> Floats:
        """Scores (m, n) whose means over the two frames sum to theta(C): theorem 3.2, a step per node.

        Each fold has a chain of regressions of its own, none of which has seen its rows.
        """
        out = np.zeros((len(masks), len(h)))
        for fold in range(_FOLDS):
            self._score_fold(fold, masks, h, out)
        return out

    def _score_fold(self, fold: int, masks: Bools, h: Floats, out: Floats) -> None:
        at = {node: k for k, node in enumerate(self.question.players)}
        mine = self.folds == fold
        current: dict[bytes, Floats] = {b"": h}
        of_mask = [b""] * len(masks)
        for node, reads in self.steps:
            keys = [row.tobytes() for row in masks[:, at[node] :]]
            following: dict[bytes, Floats] = {}
            for s, key in enumerate(keys):
                new = bool(masks[s, at[node]])
                if key not in following:
                    following[key] = self._averaged(node, reads, new, fold, current[of_mask[s]])
                part = mine & (self.is_new == new)
                weight = self._weights(masks[s], reads, new, part)
                out[s, part] += weight * (current[of_mask[s]][part] - following[key][part])
            current, of_mask = following, keys

    def _weights(self, mask: Bools, reads: tuple[Any, ...], new: bool, part: Bools) -> Any:
        """Ratio of the density of the nodes above, under the choice, to that in the frame averaged over."""
        q = self.question
        above = {node for read in reads for node in q.model.simulator.above(read)}
        log: Any = 0.0
        for k, node in enumerate(q.players):
            if node in above and bool(mask[k]) != new:
                log = log + (-1.0 if new else 1.0) * self.log_ratios[node][part]
        return np.exp(log)

    def _averaged(self, node: Any, reads: tuple[Any, ...], new: bool, fold: int, h: Floats) -> Floats:
        """Mean of h given what it still depends on, learned in one frame without a fold, for all rows.

        Where nothing is left the average is what is asked for, and 0 stands for it: h itself is then the score.
        """
        if not reads:
            return np.zeros_like(h)
        train = np.flatnonzero((self.is_new == new) & (self.folds != fold))
        if self._linear:
            Z, solve = self._design(node, reads, new, fold, train)
            return np.asarray(Z @ (solve @ h[train]))
        spec = self.models.regression_model
        spec = "boosting" if isinstance(spec, str) and spec == "auto" else spec
        X = self._features(reads)
        chosen = make_model(spec, classify=False, random_state=self.question.model.settings.seed, width=X.shape[1])
        fitted = weighted_fit(chosen, X[train], h[train], None)
        return np.asarray(fitted.predict(X), dtype=float).reshape(-1)

    @cached_property
    def _linear(self) -> bool:
        spec = self.models.regression_model
        if not isinstance(spec, str) or spec != "auto":
            return isinstance(spec, str) and spec == "linear"
        model = self.question.model
        mechanisms = [model.simulator.mechanisms[n] for n in self.question.players if model.simulator.parents[n]]
        return not any(isinstance(m, Own) or m.skill.model not in _RIGID for m in mechanisms)

    @cached_property
    def _quadratic(self) -> bool:
        """Whether squares and products join: means of squares are quadratic, and those through levels are curved."""
        model = self.question.model
        inner = [model.columns[n].discrete for n in self.question.players if model.simulator.parents[n]]
        return self.question.of == "variance" or self.question.by is not None or any(inner)

    @cached_property
    def _designs(self) -> dict[Any, tuple[Floats, Floats]]:
        return {}

    def _design(
        self, node: Any, reads: tuple[Any, ...], new: bool, fold: int, train: Positions
    ) -> tuple[Floats, Floats]:
        """Regressors (n, p) of all rows, and the map (p, train) from outcomes to coefficients."""
        key = node, new, fold
        if key not in self._designs:
            X = self._features(reads)
            if self._quadratic:
                i, j = np.triu_indices(X.shape[1])
                X = np.hstack([X, X[:, i] * X[:, j]])
            design = StandardisedMatrix.of(X[train])
            Z = design.rows(slice(None))
            self._designs[key] = design.on(X).rows(slice(None)), invert_gram(Z.T @ Z) @ Z.T
        return self._designs[key]


def _quadratic_logistic() -> Any:
    """Log ratios of normal laws are quadratic."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import PolynomialFeatures, StandardScaler

    squares = PolynomialFeatures(2, include_bias=False)
    logistic = LogisticRegression(C=10.0, tol=1e-6, max_iter=1_000)
    return make_pipeline(StandardScaler(), squares, StandardScaler(), logistic)
