"""One regression for all arms: the coefficient of treatment, what it weights, and standardised predictions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from pandas_causal.arms.arm_means import ArmMeans, MeanTerms, components_of
from pandas_causal.arms.arm_regression import ArmRegression, fit_arm_regression
from pandas_causal.arms.estimands import EstimandPlan, target_share
from pandas_causal.arms.positivity import refuse_separation
from pandas_causal.arms.sample import Sample
from pandas_causal.effect.check import Check
from pandas_causal.errors import CausalArgumentError, CausalDataError, OverlapError, OverlapWarning, warn
from pandas_causal.inference.omitted_variables import ConfounderStrength, LinearCoefficient, group_partial_r2
from pandas_causal.inference.proportional_selection import SelectionMoments
from pandas_causal.inputs.column_rules import is_numeric
from pandas_causal.kernels.arrays import Bools, Codes, Floats, Positions
from pandas_causal.models.cross_fitting import PredictFunction, make_model, weighted_fit
from pandas_causal.models.linear import StandardisedMatrix, fit_logistic, logistic_probabilities

__all__ = [
    "LearnedOutcome",
    "PooledColumns",
    "PooledRegression",
    "classical_coefficient",
    "coefficient_overlap",
    "covariate_strength",
    "implied_target",
    "implied_weights",
    "learned_means",
    "linear_means",
    "logistic_means",
    "pooled_terms",
    "stability_moments",
    "weights_check",
]

_NEGATIVE = 0.01


@dataclass(frozen=True, eq=False)
class PooledColumns:
    """Columns of one regression of all arms: covariates, and for every arm but the control its indicator and products.

    Attributes
    ----------
    n_arms : int
    interacted : ndarray (r,) of int
        Covariates that are multiplied with the indicators.
    centre (r,)
        Their means, which are subtracted in the products: an indicator's coefficient is the effect at the means.
    """

    n_arms: int
    interacted: Positions
    centre: Floats

    @classmethod
    def of(cls, sample: Sample, interacted: Positions) -> PooledColumns:
        """Centre at the weighted means of a sample."""
        centre = np.average(sample.X[:, interacted], axis=0, weights=sample.w) if len(interacted) else np.empty(0)
        return cls(len(sample.arms), interacted, centre)

    def matrix(self, X: Floats, codes: Codes) -> Floats:
        """The columns (n, q + (K - 1) (1 + r)) at the arms given."""
        n, q = X.shape
        out = np.zeros((n, q + (self.n_arms - 1) * (1 + len(self.interacted))))
        out[:, :q] = X
        slopes = self.slopes(X)
        for a in range(1, self.n_arms):
            inside = codes == a
            out[np.ix_(inside, self.block(q, a))] = slopes[inside]
        return out

    def slopes(self, X: Floats) -> Floats:
        """What the coefficients of an arm's block are multiplied with in a row of that arm (n, 1 + r)."""
        return np.column_stack([np.ones(len(X)), X[:, self.interacted] - self.centre])

    def block(self, q: int, arm: int) -> Positions:
        """Columns of an arm: its indicator first."""
        r = 1 + len(self.interacted)
        return np.arange(q + (arm - 1) * r, q + arm * r)


@dataclass(frozen=True, eq=False)
class PooledRegression:
    """A fitted regression of all arms, linear or logistic.

    Attributes
    ----------
    columns : PooledColumns
    design : StandardisedMatrix
        Of its columns.
    coefficients : ndarray (p,)
        Of the standardised columns, the intercept first.
    fit : ArmRegression or None
        The least squares, where it is linear.
    """

    columns: PooledColumns
    design: StandardisedMatrix
    coefficients: Floats
    fit: ArmRegression | None

    @property
    def q(self) -> int:
        """Columns of covariates."""
        return self.design.X.shape[1] - (self.columns.n_arms - 1) * (1 + len(self.columns.interacted))

    def under(self, X: Floats, arm: int) -> StandardisedMatrix:
        """The columns of rows X (n, q) if all were in one arm."""
        return self.design.on(self.columns.matrix(X, np.full(len(X), arm)))

    def predictions(self, X: Floats) -> Floats:
        """Outcome of rows X (n, q) under every arm (n, K)."""
        return np.column_stack([self._predicted(self.under(X, a)) for a in range(self.columns.n_arms)])

    def _predicted(self, rows: StandardisedMatrix) -> Floats:
        if self.fit is None:
            return np.asarray(logistic_probabilities(rows, self.coefficients[None, None])[:, 1])
        out = np.empty(len(rows))
        for at, Z in rows.blocks():
            out[at] = Z @ self.coefficients
        return out

    def own(self, arm: int) -> Positions:
        """Positions among the columns kept (the intercept 0) of an arm's indicator and products."""
        return 1 + np.flatnonzero(np.isin(self.design.kept, self.columns.block(self.q, arm)))

    @cached_property
    def in_raw_units(self) -> Floats:
        """Coefficients of the columns as they are, the intercept at zero."""
        scale, centre = self.design.scale[self.design.kept], self.design.centre[self.design.kept]
        slopes = self.coefficients[1:] / scale
        return np.concatenate([[self.coefficients[0] - slopes @ centre], slopes])

    def contributions(self, arm: int, w: Floats | None, residuals: Floats, codes: Codes) -> Floats:
        """Of the raw coefficients of an arm's block (n, its columns kept): what residuals move them by."""
        assert self.fit is not None  # noqa: S101 - asked of linear ones
        at, bread = self.own(arm), self.fit.bread[0]
        out = np.empty((len(codes), len(at)))
        for rows, Z in self.design.blocks():
            out[rows] = Z @ bread[:, at]
        out *= (residuals if w is None else residuals * w)[:, None]
        return out / self.design.scale[self.design.kept][at - 1]


def _pooled_design(sample: Sample, columns: PooledColumns) -> StandardisedMatrix:
    """The columns standardised; an indicator that the covariates explain is refused."""
    design = StandardisedMatrix.of(columns.matrix(sample.X, sample.codes))
    q = sample.X.shape[1]
    for a in range(1, columns.n_arms):
        if columns.block(q, a)[0] in design.dropped:
            _refuse_explained(sample, a)
    return design


def _refuse_explained(sample: Sample, arm: int) -> None:
    raise OverlapError(
        f"the covariates explain arm {sample.arms.levels[arm]!r} of {sample.treatment} exactly, so that no row tells"
        " its coefficient; leave out the covariates (or the categories) that decide treatment"
    )


def linear_means(
    sample: Sample, columns: PooledColumns, plan: EstimandPlan
) -> tuple[PooledRegression, ArmMeans, Floats]:
    """Least squares, its average predictions under every arm with their variance (HC2, CR2), and predictions (n, K)."""
    design, w = _pooled_design(sample, columns), sample.w
    one = np.zeros(len(sample), dtype=np.int8)
    fit = fit_arm_regression(design, sample.y, one, 1, w, ["the regression of all arms"])
    pooled = PooledRegression(columns, design, fit.coefficients[0], fit)
    for a in range(1, columns.n_arms):
        if not fit.bread[0][pooled.own(a)[0], pooled.own(a)[0]]:  # rows of weight 0 may leave nothing
            _refuse_explained(sample, a)
    predictions = pooled.predictions(sample.X)
    terms = pooled_terms(pooled, sample, plan, predictions)
    return pooled, components_of(fit, terms, one, w, sample.cluster), predictions


def pooled_terms(pooled: PooledRegression, sample: Sample, plan: EstimandPlan, predictions: Floats) -> MeanTerms:
    """Average predictions, and their contributions: of the coefficients, and of the rows averaged over."""
    assert pooled.fit is not None  # noqa: S101 - least squares
    n, k = len(sample), len(plan.targets)
    unit = np.ones(n) if sample.w is None else sample.w
    values, first, second = np.empty(k), np.empty((n, k)), np.empty((n, k))
    centres, weighted = np.empty((k, pooled.design.p)), pooled.fit.residuals * unit
    for j, (population, a) in enumerate(plan.targets):
        g = target_share(population, sample.codes, np.ones((n, 1)), "ATE") * unit
        g /= g.sum()
        values[j] = g @ predictions[:, a]
        second[:, j] = g * (predictions[:, a] - values[j])
        centres[j] = sum(g[at] @ Z for at, Z in pooled.under(sample.X, a).blocks())
        direction = pooled.fit.bread[0] @ centres[j]
        for at, Z in pooled.design.blocks():
            first[at, j] = (Z @ direction) * weighted[at]
    return MeanTerms(values, first, second, centres, np.zeros(k, dtype=np.intp))


def logistic_means(
    sample: Sample, columns: PooledColumns, plan: EstimandPlan
) -> tuple[PooledRegression, Floats, Floats, Floats]:
    """Logistic regression of all arms: average predictions (k,), contributions (n, k), predictions (n, K).

    The mean of ``p(m_a' theta)`` over a population, m_a the columns under arm a, moves by ``mean p (1 - p) m_a`` times
    the influence of theta, ``information^-1 m (y - p)``, and by the sampling of the population.
    """
    y, codes, n = sample.y, sample.codes, len(sample)
    if not np.isin(y, (0.0, 1.0)).all():
        raise CausalArgumentError("outcome_model='logistic' needs a 0/1 or bool outcome; use 'linear'")
    design = _pooled_design(sample, columns)
    try:
        logistic = fit_logistic(design, y.astype(int), 2, w=sample.w)
    except OverlapError:
        raise CausalDataError(
            "treatment and covariates predict the outcome perfectly, so the logistic regression does not exist; use"
            " fewer covariates or outcome_model='linear'"
        ) from None
    pooled = PooledRegression(columns, design, logistic.coefficients[-1, 0], None)
    predictions = pooled.predictions(sample.X)
    unit = np.ones(n) if sample.w is None else sample.w
    inverse, Z = np.linalg.pinv(logistic.information), design.rows(slice(None))
    own = predictions[np.arange(n), codes]
    values, contributions = np.empty(len(plan.targets)), np.empty((n, len(plan.targets)))
    for j, (population, a) in enumerate(plan.targets):
        g, p = target_share(population, codes, np.ones((n, 1)), "ATE") * unit, predictions[:, a]
        g /= g.sum()
        values[j] = g @ p
        slope = (g * p * (1 - p)) @ pooled.under(sample.X, a).rows(slice(None))
        contributions[:, j] = g * (p - values[j]) + unit * (Z @ (inverse @ slope)) * (y - own)
    return pooled, values, contributions, predictions


@dataclass(frozen=True, eq=False)
class LearnedOutcome:
    """A learner of the outcome in which treatment is one more column.

    Attributes
    ----------
    model : PredictFunction
        Of covariates (every level) and the indicators of the arms.
    n_arms : int
    levels : EveryLevel
    """

    model: PredictFunction
    n_arms: int
    levels: Any

    def predictions(self, X: Floats) -> Floats:
        """Outcome of rows X (n, q) under every arm (n, K)."""
        whole = self.levels.on(X)
        arms = (_with_arms(whole, np.full(len(X), a), self.n_arms) for a in range(self.n_arms))
        return np.column_stack([self.model(rows)[:, -1] for rows in arms])


def _with_arms(X: Floats, codes: Codes, n_arms: int) -> Floats:
    return np.column_stack([X, codes[:, None] == np.arange(1, n_arms)]).astype(float)


def learned_means(
    sample: Sample, spec: Any, plan: EstimandPlan, random_state: int | None
) -> tuple[LearnedOutcome, Floats, Floats]:
    """A learner fitted to the rows of all arms: average predictions (k,), and predictions (n, K)."""
    levels, K, n = sample.encoder.for_learners, len(sample.arms), len(sample)
    X = _with_arms(levels.on(sample.X), sample.codes, K)
    binary = bool(np.isin(sample.y, (0.0, 1.0)).all())
    classify = binary and (spec in ("ridge", "boosting") if isinstance(spec, str) else hasattr(spec, "predict_proba"))
    names: tuple[str, ...] | None = None
    if sample.columns is not None and not isinstance(spec, str):
        names = (*levels.names, *(f"{sample.treatment}_{level}" for level in sample.arms.levels[1:]))
    model = make_model(spec, classify=classify, random_state=random_state, width=X.shape[1])
    data = X if names is None else pd.DataFrame(X, columns=list(names))
    fitted = weighted_fit(model, data, sample.y.astype(int) if classify else sample.y, sample.w)
    learned = LearnedOutcome(PredictFunction(fitted, 2 if classify else 0, names), K, levels)
    predictions = learned.predictions(sample.X)
    unit = np.ones(n) if sample.w is None else sample.w
    shares = [target_share(t, sample.codes, np.ones((n, 1)), "ATE") * unit for t, _ in plan.targets]
    values = np.array([g @ predictions[:, a] / g.sum() for g, (_, a) in zip(shares, plan.targets, strict=True)])
    return learned, values, predictions


# -- what a confounder would do to a coefficient -----------------------------------------------------------------------


def classical_coefficient(pooled: PooledRegression, sample: Sample, arm: int) -> LinearCoefficient:
    """Coefficient of an arm with the standard error that takes residuals to vary alike, which partial R2 is made of."""
    fit, at = pooled.fit, pooled.own(arm)[0]
    assert fit is not None  # noqa: S101 - least squares
    error = np.sqrt(_rss(pooled, sample) / fit.df * fit.bread[0][at, at])
    scale = float(pooled.design.scale[pooled.design.kept][at - 1])
    return LinearCoefficient(float(pooled.coefficients[at]) / scale, float(error) / scale, fit.df)


def covariate_strength(
    pooled: PooledRegression, sample: Sample, arm: int, columns: Sequence[int]
) -> ConfounderStrength | None:
    """Partial R2 of columns of the covariates with an arm's indicator and with the outcome; None: none was kept."""
    assert pooled.fit is not None  # noqa: S101 - least squares
    group = 1 + np.flatnonzero(np.isin(pooled.design.kept, columns))
    if not len(group):
        return None
    rss = _rss(pooled, sample)
    return group_partial_r2(pooled.fit.bread[0], pooled.coefficients, rss, group, int(pooled.own(arm)[0]))


def stability_moments(pooled: PooledRegression, sample: Sample) -> SelectionMoments:
    """Coefficient and R2 without and with covariates, of two arms, and how treatment varies before and after them."""
    fit, at = pooled.fit, int(pooled.own(1)[0])
    assert fit is not None  # noqa: S101 - least squares
    w = np.ones(len(sample)) if sample.w is None else sample.w
    d = (sample.codes == 1).astype(float)
    y, d = sample.y - w @ sample.y / w.sum(), d - w @ d / w.sum()
    total, spread = float(w @ np.square(y)), float(w @ np.square(d))
    short = float(w @ (d * y)) / spread
    scale = float(pooled.design.scale[pooled.design.kept][at - 1])
    return SelectionMoments(
        short=short,
        r2_short=short**2 * spread / total,
        long=float(pooled.coefficients[at]) / scale,
        r2_long=1 - _rss(pooled, sample) / total,
        outcome_variance=total / w.sum(),
        treatment_variance=spread / w.sum(),
        residual_variance=scale**2 / float(fit.bread[0][at, at]) / w.sum(),
    )


def _rss(pooled: PooledRegression, sample: Sample) -> float:
    assert pooled.fit is not None  # noqa: S101 - least squares
    squares = np.square(pooled.fit.residuals)
    return float(squares.sum() if sample.w is None else sample.w @ squares)


# -- what a coefficient is a coefficient of --------------------------------------------------------------------------


def implied_weights(pooled: PooledRegression, sample: Sample) -> Floats:
    """Weights (n, K - 1) whose difference of weighted means of outcomes is the coefficient of each arm.

    Those of an arm, and of the control, sum to one; those of other arms to zero. They do not depend on the outcome.

    References
    ----------
    Chattopadhyay and Zubizarreta (2023), "On the implied weights of linear regression for causal inference",
    Biometrika 110, Proposition 1 (uni-regression imputation).
    """
    out = np.empty((len(sample), len(sample.arms) - 1))
    ones = np.ones(len(sample))
    for a in range(1, len(sample.arms)):
        signed = pooled.contributions(a, sample.w, ones, sample.codes)[:, 0]
        out[:, a - 1] = np.where(sample.codes == a, signed, -signed)
    return out


def weights_check(weights: Floats, codes: Codes, levels: Sequence[Any]) -> Check:
    """Negative weights of a coefficient: rows that count with the wrong sign, where the line is extrapolated.

    Failed where those of an arm sum to less than -0.01, all its weights summing to 1.
    """
    rows: list[dict[str, Any]] = []
    for a in range(1, len(levels)):
        for b in (a, 0):
            w = weights[codes == b, a - 1]
            negative = w < -1e-12 * np.abs(w).max()
            rows.append(
                {
                    "contrast": f"{levels[a]} - {levels[0]}",
                    "arm": levels[b],
                    "rows": len(w),
                    "negative": int(negative.sum()),
                    "share_negative": float(negative.mean()),
                    "sum_of_negative": float(w[negative].sum()),
                    "largest": float(w.max()),
                    "effective_rows": float(1 / np.square(w).sum()),
                }
            )
    table = pd.DataFrame(rows).set_index(["contrast", "arm"])
    count = int(table["negative"].sum())
    worst = float(table["sum_of_negative"].min())
    text = (
        f"{count:,} of {int(table['rows'].sum()):,} weights are negative; they sum to {worst:.3f} in the worst arm,"
        " where all weights sum to 1"
        if count
        else "no row has a negative weight"
    )
    return Check(worst >= -_NEGATIVE, table, text)


def implied_target(weights: Floats, sample: Sample) -> Check:
    """Whom a coefficient speaks of: means of covariates under its weights, beside those of everyone and of each arm."""
    levels, codes = sample.encoder.every_level, sample.codes
    X, unit = levels.on(sample.X), np.ones(len(sample)) if sample.w is None else sample.w
    parts = []
    for a in range(1, len(sample.arms)):
        part = pd.DataFrame(index=pd.Index(levels.names, name="covariate"))
        part["contrast"] = sample.arms.contrasts[a - 1]
        part["target"] = weights[codes == a, a - 1] @ X[codes == a]
        part["everyone"] = unit @ X / unit.sum()
        for name, b in (("treated", a), ("control", 0)):
            part[name] = unit[codes == b] @ X[codes == b] / unit[codes == b].sum()
        parts.append(part)
    text = "means of the covariates in the population that the coefficient's weights make"
    return Check(None, pd.concat(parts), text)


def coefficient_overlap(sample: Sample) -> list[str]:
    """Refuse covariates that split the arms of the rows that a coefficient weights, and warn of rows without weight.

    Rows of a category (a two-valued number is one, and so is being missing) that an arm never has tell a coefficient
    nothing: the category's own coefficient fits them. The rest must overlap.

    Raises
    ------
    OverlapError
        If a number separates the arms of the rows left, or none are left.

    Warns
    -----
    OverlapWarning
        Of rows left out so.
    """
    frame, codes, levels = sample.inputs.covariates, sample.codes, sample.arms.levels
    texts = []
    for a in range(1, len(levels)):
        pair = np.isin(codes, (0, a))
        arm = (codes[pair] == a).astype(np.int8)
        compared, by = _compared(frame[pair], arm)
        if min(np.bincount(arm[compared], minlength=2)) == 0:
            raise OverlapError(
                f"no row of arm {levels[a]!r} shares its categories ({', '.join(by[:5])}) with one of arm"
                f" {levels[0]!r}; merge categories"
            )
        refuse_separation(frame[pair][compared], arm[compared], [levels[0], levels[a]], "ATE")
        alone = int((~compared).sum())
        if alone:
            texts.append(
                f"{alone:,} of {len(arm):,} rows are in categories ({', '.join(by[:5])}) that arm {levels[0]!r} or"
                f" {levels[a]!r} never has: the coefficient of {sample.arms.contrasts[a - 1]} does not speak of them"
            )
    for text in texts:
        warn(text, OverlapWarning)
    return texts


def _compared(frame: pd.DataFrame, arm: Codes) -> tuple[Bools, list[str]]:
    """Rows all of whose categories have both arms, and the columns that leave the others out."""
    groups: dict[str, Positions] = {}
    for name in frame.columns:
        x = frame[name]
        if not is_numeric(x) or x.nunique() <= 2:
            groups[str(name)] = pd.factorize(x, use_na_sentinel=False)[0]
        elif x.isna().any():
            groups[str(name)] = x.isna().to_numpy().astype(np.intp)
    kept, by = np.ones(len(frame), dtype=bool), dict.fromkeys(groups, False)
    while True:
        before = int(kept.sum())
        for name, group in groups.items():
            cells = np.bincount(group[kept] * 2 + arm[kept], minlength=2 * (int(group.max(initial=0)) + 1))
            alone = (cells.reshape(-1, 2).min(axis=1) == 0)[group] & kept
            by[name] |= bool(alone.any())
            kept &= ~alone
        if int(kept.sum()) == before:
            return kept, [name for name, left_out in by.items() if left_out]
