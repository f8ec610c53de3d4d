"""What forests of effects share: settings, growing, effects of rows with intervals, and what the forest looked at."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from pandas_causal.arms.sample import Sample
from pandas_causal.effect.check import Check
from pandas_causal.effect.effect import Effect
from pandas_causal.effect.estimates import Estimates, Weighting
from pandas_causal.errors import CausalArgumentError, CausalDataError
from pandas_causal.forests.binning import Binning, Covariate8
from pandas_causal.forests.growing import Forest, GrowthRules, Sampling, TreeShape, grow_forest
from pandas_causal.forests.local_linear import local_linear
from pandas_causal.forests.nuisances import Coded, OutOfBag, default_tries, nuisance_report
from pandas_causal.heterogeneity.base import ConditionalEffects, modifier_columns, row_scores
from pandas_causal.heterogeneity.final_models import slopes_test
from pandas_causal.heterogeneity.projection import EffectBasis, LinearEffects, fit_on_basis
from pandas_causal.heterogeneity.ranking import rate
from pandas_causal.heterogeneity.scoring import r_score_of
from pandas_causal.inference.draws_and_variance import Variance
from pandas_causal.inference.influence import Component, Influence
from pandas_causal.inference.rows import RowIdentity
from pandas_causal.inputs.formula import AnyEncoder
from pandas_causal.inputs.parameters import FLAG, NON_NEGATIVE, SHARE, Legal, at_least, number, or_none
from pandas_causal.inputs.types import Covariates, Outcome, RoleLike
from pandas_causal.kernels.arrays import Floats
from pandas_causal.models.folds import label_order

__all__ = ["EffectForest", "Grown", "encoded_rows", "even_trees", "forest_columns", "refuse_events"]

_LEAVES = (2, 5, 10, 20, 40)
_TUNING_TREES = 100
_DEPTHS = 4
_MANY = 1_000_000
_NOTHING = "(none)"
LEAST = Legal(
    lambda value: value == "auto" if isinstance(value, str) else at_least(1).holds(value),
    "'auto' or a whole number of rows, 1 or more",
)
PART = number(0, 1.0000001, "a number above 0, up to 1", closed_low=False)
TRIED = or_none(number(0, np.inf, "a number above 0", closed_low=False))


class Grown(NamedTuple):
    """A forest, and what it says of its own rows.

    Attributes
    ----------
    forest : Forest
    effects : ndarray (n, d)
        Out of bag, in the caller's order and units.
    leaf : int
        Least rows of every arm in a leaf.
    tuning : DataFrame or None
        Out-of-bag loss by least rows.
    notes : list of str
        For the reader of the effect.
    """

    forest: Forest
    effects: Floats
    leaf: int
    tuning: pd.DataFrame | None
    notes: list[str]


def forest_columns(encoder: AnyEncoder, frame: pd.DataFrame, X: Floats | None) -> pd.DataFrame:
    """What a forest looks at: the covariates but constants, or, given the matrix of a formula, its columns."""
    if X is not None:
        levels = encoder.for_learners
        frame = pd.DataFrame(levels.on(X), columns=list(levels.names), index=frame.index)
    else:
        frame = frame[[c for c in frame.columns if str(c) not in set(encoder.dropped)]]
    return frame if frame.shape[1] else pd.DataFrame({_NOTHING: np.zeros(len(frame))}, index=frame.index)


def encoded_rows(sample: Sample, formula: str | None) -> Coded:
    """The sample's covariates as codes, in the order of the labels."""
    frame = forest_columns(sample.encoder, sample.inputs.covariates, sample.X if formula is not None else None)
    binning = Binning.fit(frame, sample.w)
    codes = binning.encode(frame, len(sample))
    order = label_order(sample.inputs.index)
    clusters = None
    if sample.cluster:
        first = sample.cluster[0] if order is None else sample.cluster[0][order]
        clusters = pd.factorize(first)[0]
    return Coded(binning, codes if order is None else codes[order], order, clusters)


def refuse_events(y: Outcome) -> None:
    """Refuse an outcome that is a time with an event indicator: two columns, one of them of truth values.

    Raises
    ------
    CausalDataError
    """
    kinds = [t[0].kind for t in y.dtype.fields.values()] if isinstance(y, np.ndarray) and y.dtype.fields else []
    if isinstance(y, pd.DataFrame) and y.shape[1] == 2:
        kinds = ["b" if set(y[c].dropna().unique()) <= {0, 1} else "f" for c in y.columns]
    if sorted(kinds) in (["b", "f"], ["b", "i"]):
        raise CausalDataError(
            "outcome: a time with an event indicator is not an outcome that forests take; give whether the event came"
            " by a date that all rows were followed to (0/1)"
        )


def even_trees(asked: int) -> tuple[int, list[str]]:
    """Trees in bags of two, and what to say of an odd number."""
    if asked % 2 == 0:
        return asked, []
    return asked + 1, [f"n_estimators={asked} is odd, and variances need bags of two trees: {asked + 1} were grown"]


class EffectForest(ConditionalEffects):
    """Base of forests of effects.

    A subclass's ``fit`` stores ``effect_``, ``scores_of_effects_`` and what :meth:`_grow` returns.
    """

    legal: ClassVar[Mapping[str, Legal]] = {
        "n_estimators": at_least(2, "trees"),
        "min_samples_leaf": LEAST,
        "max_depth": or_none(at_least(1)),
        "max_features": TRIED,
        "max_samples": number(0, 0.5000001, "a share of the rows above 0, up to 0.5", closed_low=False),
        "honesty": FLAG,
        "honesty_fraction": number(0, 1, "a number between 0 and 1", closed_low=False),
        "alpha": number(0, 0.25, "a number in [0, 0.25)"),
        "imbalance_penalty": NON_NEGATIVE,
        "equalize_clusters": FLAG,
        "clip": SHARE,
        "progress": FLAG,
    }
    n_estimators: int
    min_samples_leaf: int | str
    max_depth: int | None
    max_features: float | None
    max_samples: float
    honesty: bool
    honesty_fraction: float
    alpha: float
    imbalance_penalty: float
    equalize_clusters: bool
    outcome_model: Any
    random_state: int | None
    n_jobs: int | None
    progress: bool
    _grown: Grown
    _coded: Coded
    _unit: Floats  # what a treatment's residual was divided by (d,)

    # -- growing -----------------------------------------------------------------------------------------------------

    def _grow(self, sample: Sample, rows: Coded, sums: Floats, shape: TreeShape, seed: int, unit: Floats) -> Grown:
        """Grow the forest, its least leaf chosen by the out-of-bag loss if asked."""
        n, p = rows.codes.shape
        trees, notes = even_trees(self.n_estimators)
        if self.max_features is None:
            tried = default_tries(p)
        else:
            tried = self.max_features * p if isinstance(self.max_features, float) else float(self.max_features)
        sampling = Sampling.of(
            n, self.max_samples, self.honesty_fraction if self.honesty else 1.0, pairs=True, clusters=rows.clusters,
            equalise=self.equalize_clusters,
        )  # fmt: skip
        ordered = sums  # already in the order of the labels
        smallest = float(ordered[:, shape.n_moments : shape.n_moments + shape.n_groups].sum(axis=0).min())
        room = smallest * self.max_samples * (self.honesty_fraction if self.honesty else 1.0)
        rules = GrowthRules(
            5, self.alpha, self.imbalance_penalty, tried, _MANY if self.max_depth is None else self.max_depth
        )
        tuning = None
        if isinstance(self.min_samples_leaf, str):
            leaf, tuning = self._tuned(rows, ordered, shape, rules, sampling, seed, room)
        else:
            leaf = int(self.min_samples_leaf)
            if room < 2 * leaf:
                notes.append(
                    f"min_samples_leaf={leaf} leaves no split: of the smallest arm a tree's splits see {room:.0f} rows,"
                    " and effects do not vary"
                )
        forest = grow_forest(
            rows.codes, rows.binning, ordered, shape, replace(rules, least=leaf), sampling, trees, seed,
            n_jobs=self.n_jobs, words="trees" if self.progress else "",
        )  # fmt: skip
        moments, _ = forest.moments(rows.codes, forest.bags(self.n_jobs), self.n_jobs)
        effects = self._solved(moments)[0][:, :, 0]
        gone = ~np.isfinite(effects).all(axis=1)
        if gone.any():  # in every bag, or treatments do not vary where the row is
            effects[gone] = self._solved(forest.moments(rows.codes, None, self.n_jobs)[0][gone])[0][:, :, 0]
            effects = np.where(np.isfinite(effects), effects, self._overall(ordered, shape))
        return Grown(forest, rows.in_rows(effects / unit), leaf, tuning, notes)

    def _overall(self, sums: Floats, shape: TreeShape) -> Floats:
        total = sums[:, : shape.n_moments].sum(axis=0, keepdims=True)
        return np.nan_to_num(self._solved(total / total[0, 0])[0][0, :, 0])

    def _tuned(
        self, rows: Coded, sums: Floats, shape: TreeShape, rules: GrowthRules, sampling: Sampling, seed: int,
        room: float,
    ) -> tuple[int, pd.DataFrame | None]:  # fmt: skip
        """Least rows of an arm in a leaf whose small forests have the least out-of-bag loss, less their noise.

        The loss is that of residuals (Nie and Wager 2021, eq. 4); what the small number of trees adds to it is taken
        off, as estimated from the trees.
        """
        offered = [leaf for leaf in _LEAVES if room >= 4 * leaf] or [1]
        if len(offered) == 1:
            return offered[0], None
        table = []
        for leaf in offered:
            forest = grow_forest(
                rows.codes, rows.binning, sums, shape, replace(rules, least=leaf), sampling, _TUNING_TREES, seed + 1,
                n_jobs=self.n_jobs,
            )  # fmt: skip
            bags = forest.bags(self.n_jobs)
            moments, _ = forest.moments(rows.codes, bags, self.n_jobs)
            effects, J = self._solved(moments)
            excess = forest.spread(rows.codes, J, bags, self.n_jobs).excess
            table.append(self._loss(sums, shape, effects[:, :, 0], excess))
        losses = pd.DataFrame({"loss": table}, index=pd.Index(offered, name="min_samples_leaf"))
        return offered[int(np.nanargmin(table))], losses

    def _loss(self, sums: Floats, shape: TreeShape, effects: Floats, excess: Floats) -> float:
        """Loss of effects (n, K), which is linear in what rows carry; NaN rows are left out."""
        raise NotImplementedError

    def _solved(self, moments: Floats) -> tuple[Floats, Floats]:
        """Effects (n, d, 1) and derivatives (n, d, moments) at averages."""
        raise NotImplementedError

    # -- effects -----------------------------------------------------------------------------------------------------

    def effect(self, X: Covariates = None, arm: Any = None, outcome: Hashable = None) -> Effect:
        """Return the average effect, or, given X, the effect for every row of X with its interval.

        Of the rows that were fitted the effects are out of bag: by the trees that did not see the row. Intervals are
        pointwise (the bootstrap of little bags); rows have no covariances, so that maps that mix them are refused,
        but for ``aggregate``, which averages doubly robust scores of the fitted rows.

        Parameters
        ----------
        X : DataFrame or array-like (m, p), optional
            Covariates; role columns in it are ignored.
        arm : level or name, optional
            Which arm to compare with the control, or which treatment, where there are several.
        outcome : name, optional
            Of other learners, which take several outcomes; a forest has one.
        """
        check_is_fitted(self, "effect_")
        if outcome is not None:
            raise CausalArgumentError(
                f"outcome={outcome!r} chooses among several outcomes, and a forest is fitted to one"
            )
        if X is None:
            return super().effect()
        j, sample = self._position(arm), self._sample
        frame = self.new_covariates(X)
        codes = self._codes_of(frame)
        same = len(codes) == len(sample) and frame.index.equals(sample.inputs.index)
        same = same and np.array_equal(self._coded.in_rows(self._coded.codes.astype(float)), codes)
        if same:
            estimates, variance = self._grown.effects[:, j], self._own_variance()[:, j]
        else:
            estimates, variance = self._at(codes)[0][:, j], self._variance(codes)[:, j]
        return Effect(
            rows=Estimates(
                pd.Series(estimates, index=frame.index, name="estimate"),
                Variance(variance),
                units=sample.rows if same else RowIdentity(frame.index, codes.sum(axis=1) if len(codes) else None),
                weightings={"population": Weighting(sample.w)} if same and sample.w is not None else {},
            ),
            estimand=f"effect of {self._contrast(j)} on {sample.outcome}, given covariates",
            n_obs=len(sample),
            assumptions=self.effect_.assumptions,
            diagnostics=self.effect_.diagnostics,
            warnings=self.effect_.warnings,
            std_error_method="little bags, pointwise" + (", out of bag" if same else ""),
            estimator=self,
            facts={**self.effect_.facts, "effects_of_rows": True},
            averages=self._averages(j) if same else None,
        )

    def predict(self, X: Covariates, linear: Sequence[Any] | None = None, ridge: float = 0.1) -> Floats:
        """Effects for every row of X (m,), or (m, d) with several arms or treatments, by all trees.

        Parameters
        ----------
        X : DataFrame or array-like (m, p)
        linear : list of covariates that are numbers, optional
            Correct the forest's step-like average by a local regression on these: effects then follow slopes.
        ridge : float
            Penalty of the slopes, in units of the covariates' variances at the row.

        References
        ----------
        Friedberg, Tibshirani, Athey and Wager (2021), "Local linear forests", JCGS 30.
        """
        check_is_fitted(self, "effect_")
        frame = self.new_covariates(X)
        codes = self._codes_of(frame)
        out = self._at(codes)[0] if linear is None else self._corrected(frame, codes, list(linear), ridge)
        return np.asarray(out[:, 0] if out.shape[1] == 1 else out)

    def weights(self, X: Covariates) -> Floats:
        """Weight (m, n) of every fitted row in the effect at the rows of X: those that fall in its leaves.

        Each row sums to 1. The effect is a weighted regression of residuals on residuals with these weights.
        """
        check_is_fitted(self, "effect_")
        found = self._raw_weights(self._codes_of(self.new_covariates(X)))
        return self._coded.in_rows(found.T).T

    def score(self, X: Covariates, y: Outcome, treatment: RoleLike = None, sample_weight: RoleLike = None) -> float:
        """Held-out R-score: how much of the outcome's residuals the effects explain, beyond a constant effect.

        Parameters
        ----------
        X, y : held-out rows
            Nuisances are fitted to them, by the models that the settings name ("auto" where they say "forest").
        treatment : str or array-like, optional
            By default the column named at fit.
        sample_weight : array-like (m,), optional
        """
        check_is_fitted(self, "effect_")
        return r_score_of(self, X, y, treatment, sample_weight)

    # -- reading -----------------------------------------------------------------------------------------------------

    @property
    def variable_importance_(self) -> pd.Series[float]:
        """Share of the splits that each covariate took, those near the root counted more (depth to the power -2).

        It says what the forest looked at, not what causes the effect to vary.
        """
        check_is_fitted(self, "effect_")
        counts = self._grown.forest.splits(_DEPTHS)
        by_depth = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1.0)
        weight = np.arange(1, _DEPTHS + 1.0) ** -2
        weight[counts.sum(axis=1) == 0] = 0.0
        values = weight @ by_depth / max(weight.sum(), 1e-300)
        index = pd.Index(self._coded.binning.names, name="covariate")
        return pd.Series(values, index=index, name="importance").sort_values(ascending=False, kind="stable")

    @property
    def oob_effects_(self) -> Floats:
        """Effects of the fitted rows (n,) or (n, d), by the trees that did not see them."""
        check_is_fitted(self, "effect_")
        out = self._grown.effects
        return out[:, 0] if out.shape[1] == 1 else out

    def best_linear_projection(self, columns: Sequence[Any] | None = None, arm: Any = None) -> Effect:
        """Linear function of covariates that is nearest to the effects: doubly robust scores regressed on them.

        Parameters
        ----------
        columns : list of covariates, optional
            All by default.
        arm : level or name, optional

        Returns
        -------
        Effect
            Effect at the covariates' means, and its change per unit of each covariate.

        References
        ----------
        Semenova and Chernozhukov (2021), Econometrics Journal 24, eq. (2.4).
        """
        check_is_fitted(self, "effect_")
        sample, j = self._sample, self._position(arm)
        basis = EffectBasis.of(sample.X, sample.encoder.names, modifier_columns(sample, columns))
        return self._regressed(
            basis, np.ones((len(sample), 1)), self.scores_of_effects_[:, j], [self._contrast(j)],
            f"best linear projection of the effect of {self._contrast(j)} on {sample.outcome}",
            "doubly robust scores, HC1",
        )  # fmt: skip

    def test_heterogeneity(self, columns: Sequence[Any] | None = None, arm: Any = None) -> Check:
        """Test that the effect does not vary linearly with any covariate, by the best linear projection."""
        return slopes_test(self.best_linear_projection(columns, arm))

    def rate(self, priority: Any, arm: Any = None, *, level: float = 0.95, random_state: int | None = 0) -> Effect:
        """Rank-weighted average effects (AUTOC and Qini) of rankings of the fitted rows: see :func:`metrics.rate`.

        Parameters
        ----------
        priority : array-like (n,), DataFrame or mapping
            Learned on other rows, else it looks better than it is.
        arm : level or name, optional
        level : float
        random_state : int or None
        """
        check_is_fitted(self, "effect_")
        sample = self._sample
        gamma = pd.Series(self.scores_of_effects_[:, self._position(arm)], index=sample.inputs.index)
        found = rate(gamma, priority, sample_weight=sample.w, level=level, random_state=random_state)
        return found.cluster(list(sample.cluster)) if sample.cluster else found

    # -- inside ------------------------------------------------------------------------------------------------------

    scores_of_effects_: Floats

    def _codes_of(self, frame: pd.DataFrame) -> Covariate8:
        binning = self._coded.binning
        X = self.encoder_.transform(frame) if self.formula is not None else None
        frame = forest_columns(self.encoder_, frame, X)
        for column in binning.columns:
            if column.edges is not None and np.isinf(pd.to_numeric(frame[column.name]).to_numpy(dtype=float)).any():
                raise CausalDataError(f"covariates [{column.name!r}] hold infinite (inf) values")
        return binning.encode(frame, len(frame))

    def _at(self, codes: Covariate8) -> tuple[Floats, Floats]:
        """Effects (m, d), in the caller's units, and derivatives (m, d, moments) of those in the forest's."""
        forest = self._grown.forest
        moments, _ = forest.moments(codes, None, self.n_jobs)
        effects, J = self._solved(moments)
        out = effects[:, :, 0]
        gone = ~np.isfinite(out)
        if gone.any():
            out = np.where(gone, np.average(self._grown.effects, axis=0, weights=self._sample.w) * self._unit, out)
        return out / self._unit, J

    def _variance(self, codes: Covariate8) -> Floats:
        J = self._at(codes)[1]
        spread = self._grown.forest.spread(codes, J, None, self.n_jobs)
        return spread.variance / np.square(self._unit)

    def _own_variance(self) -> Floats:
        """Variances of the out-of-bag effects (n, d)."""
        forest, rows = self._grown.forest, self._coded
        bags = forest.bags(self.n_jobs)
        moments, _ = forest.moments(rows.codes, bags, self.n_jobs)
        J = self._solved(moments)[1]
        found = forest.spread(rows.codes, J, bags, self.n_jobs).variance
        return rows.in_rows(found / np.square(self._unit))

    def _raw_weights(self, codes: Covariate8) -> Floats:
        """Weights of the fitted rows in the order of their labels."""
        rows = self._coded
        w = np.ones(len(rows.codes)) if self._sample.w is None else rows.ordered(self._sample.w)
        return self._grown.forest.weights(codes, rows.codes, w, self.n_jobs)

    def _corrected(self, frame: pd.DataFrame, codes: Covariate8, linear: list[Any], ridge: float) -> Floats:
        sample = self._sample
        at = modifier_columns(sample, linear)
        Z = self.encoder_.transform(frame)[:, at]
        own = self._coded.ordered(sample.X[:, at])
        z, D, y = (self._coded.ordered(v) for v in self._residuals)
        out = np.empty((len(codes), D.shape[1]))
        for low in range(0, len(codes), 256):
            part = slice(low, low + 256)
            out[part] = local_linear(self._raw_weights(codes[part]), own, Z[part], z, D, y, ridge)
        return out

    _residuals: tuple[Floats, Floats, Floats]  # of instrument or treatments, treatments (n, d), and outcome (n,)

    def _averages(self, j: int) -> Effect | None:
        words = f"average effect of {self._contrast(j)} on {self._sample.outcome}"
        return row_scores(self._sample, self.scores_of_effects_[:, j], self.effect_, words)

    def _regressed(
        self, basis: EffectBasis, slopes: Floats, target: Floats, names: list[str], words: str, method: str,
        one_sided: bool = False,
    ) -> Effect:  # fmt: skip
        """Least squares of a target on slopes times a basis, as an Effect of its coefficients."""
        sample, n = self._sample, len(self._sample)
        fit = fit_on_basis(basis, slopes, target, sample.w, names)
        k = len(fit.values)
        meat = n / (n - k) * (fit.contributions.T @ fit.contributions)
        linear = LinearEffects.of(
            basis, fit.values, fit.contributions, sample.rows, names,
            components=None if sample.cluster else (Component(meat),), clusters=sample.clusters,
        )  # fmt: skip
        u = (linear.clustered(sample.cluster) if sample.cluster else linear).uncertainty
        index = pd.Index(names, name="coefficient") if basis.p == 1 else u.names
        return replace(
            self.effect_,
            rows=Estimates(pd.Series(u.values, index=index, name="estimate"), replace(u, names=index)),
            estimand=words,
            std_error_method="clustered (CR1)" if sample.cluster else method,
            alternative="greater" if one_sided else self.effect_.alternative,
            estimator=self,
        )

    def _report(self, parts: dict[str, OutOfBag]) -> Any:
        return partial(nuisance_report, parts)

    def _arranged(self, values: Floats, contributions: Floats, words: str, index: pd.Index, method: str) -> Effect:
        """Averages with their contributions as an Effect, clustered as the fit was."""
        sample = self._sample
        u = Influence.from_contributions(values, contributions, sample.rows, names=index, clusters=sample.clusters)
        if sample.cluster:
            u = u.cluster(sample.cluster)
            method += f", clustered by {' and '.join(sample.clusters)} (CR1)"
        return replace(
            self.effect_, rows=Estimates(pd.Series(values, index=index, name="estimate"), u), estimand=words,
            std_error_method=method, estimator=self,
        )  # fmt: skip

    def _mask(self, rows: Any) -> Floats:
        """Sample weights of a subset of the fitted rows (n,), 0 elsewhere."""
        sample = self._sample
        w = np.ones(len(sample)) if sample.w is None else sample.w
        if rows is None:
            return w
        if isinstance(rows, pd.Series):
            if not rows.index.equals(sample.inputs.index):
                rows = rows.reindex(sample.inputs.index)
            rows = rows.fillna(False)
        mask = np.asarray(rows)
        if mask.dtype != bool or mask.shape != (len(sample),):
            raise CausalArgumentError(
                f"rows must be True or False for each of the {len(sample):,} fitted rows; got {mask.dtype}"
                f" of shape {mask.shape}"
            )
        if mask.sum() < 2:
            raise CausalArgumentError(f"rows= keeps {int(mask.sum())} rows, and 2 are needed")
        return np.where(mask, w, 0.0)
