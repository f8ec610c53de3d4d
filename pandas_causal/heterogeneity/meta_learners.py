"""Meta-learners: effects for every row from any regressions, S, T, X, R and doubly robust."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol, Self

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from pandas_causal.arms.base import UNCONFOUNDED
from pandas_causal.arms.estimands import in_words, plan_estimand
from pandas_causal.arms.sample import Sample, supported
from pandas_causal.effect.check import Check, Checks
from pandas_causal.effect.effect import Effect
from pandas_causal.effect.estimates import Estimates
from pandas_causal.errors import CausalArgumentError
from pandas_causal.heterogeneity.base import MODIFIERS, ConditionalEffects, modifier_columns, row_scores
from pandas_causal.heterogeneity.final_models import Regressions, fit_final, project_scores, slopes_test
from pandas_causal.heterogeneity.nuisances import ArmNuisances, NuisanceModels, fit_arm_nuisances, residuals_of
from pandas_causal.heterogeneity.projection import EffectBasis, LinearEffects, fit_on_basis
from pandas_causal.heterogeneity.scoring import arm_scores, r_score_of
from pandas_causal.inference.influence import Influence
from pandas_causal.inference.rows import RowIdentity
from pandas_causal.inputs.column_rules import as_float, is_numeric
from pandas_causal.inputs.encoding import EveryLevel
from pandas_causal.inputs.parameters import FLAG, SHARE, Legal, at_least, check_settings, or_none
from pandas_causal.inputs.types import Covariates, Model, Outcome, RoleLike
from pandas_causal.kernels.arrays import Codes, Floats, Positions, Values
from pandas_causal.models.folds import draw_folds
from pandas_causal.models.linear import StandardisedMatrix
from pandas_causal.models.nuisance import Nuisance, fit_outcome, fit_propensity, in_label_order, is_linear
from pandas_causal.models.training_rows import TrainingRows

__all__ = ["ArmLearner", "DRLearner", "Effects", "Parts", "RLearner", "SLearner", "TLearner", "XLearner"]


class Effects(Protocol):
    """Fitted effects of every arm but the control, as a function of encoded rows."""

    def predict(self, X: Floats) -> Floats:
        """Effects (m, K - 1)."""
        ...


class ArmLearner(ConditionalEffects):
    """What the learners share: cross-fitted nuisances, the doubly robust average, scores of the fitted rows."""

    legal: ClassVar[Mapping[str, Legal]] = {"clip": SHARE, "effect_modifiers": MODIFIERS, "encode": FLAG}
    encode: bool = True
    outcome_model: Model
    propensity_model: Model
    cv: object
    clip: float
    control: Hashable
    random_state: int | None
    n_jobs: int | None

    def fit(
        self,
        X: Covariates,
        y: Outcome = None,
        *,
        treatment: RoleLike = None,
        cluster: RoleLike = None,
        sample_weight: RoleLike = None,
        propensity: RoleLike = None,
        missing: str = "raise",
    ) -> Self:
        """Fit.

        Parameters
        ----------
        X : DataFrame, array-like (n, p) or None
            Covariates, and any roles given by name.
        y : array-like (n,)
            Outcome, in its own units; 0/1 outcomes may have classifiers.
        treatment : str or array-like (n,)
            Arms: 0/1, bool, strings or categories.
        cluster : str, array-like (n,) or list of up to four, optional
            Folds keep clusters whole, errors of averages are clustered.
        sample_weight : str or array-like (n,), optional
        propensity : str, array-like (n,) or (n, K), optional
            Known assignment probabilities; no propensity model is fitted.
        missing : {"raise", "drop"}

        Raises
        ------
        CausalDataError
            Everything that is wrong with the data, at once.
        OverlapError
            Where arms cannot be compared.
        """
        sample = self.prepare(
            X, y, treatment=treatment, missing=missing, control=self.control, cluster=cluster,
            sample_weight=sample_weight, propensity=propensity,
        )  # fmt: skip
        self._sample = sample
        plan = plan_estimand("ATE", sample.arms, sample.treatment)
        rng = np.random.default_rng(self.random_state)
        folds = draw_folds(self.cv, sample.inputs, sample.arms, rng, sample.cluster[0] if sample.cluster else None)
        models = self._models(self.outcome_model, self.propensity_model, rng, "propensity_model")
        design = None
        if is_linear(self.outcome_model, sample.X) or is_linear(self.propensity_model, sample.X):
            design = StandardisedMatrix.of(sample.X)
        rows = sample.training_rows(design) if self.encode else self._raw_rows(sample)
        found = fit_arm_nuisances(rows, folds, sample.inputs.index, models, known=sample.propensity)
        _, e = supported("ATE", found.e, sample.codes, None, sample.arms.levels)
        self.folds_, self.propensity_ = folds, e
        self.scores_ = arm_scores(sample.y, sample.codes, found.outcome.predictions, e)
        checks, warned = self.overlap(
            sample, e, "ATE", clipped=found.n_clipped, out_of_fold=found.propensity is not None,
            unpenalised=is_linear(self.propensity_model, sample.X),
        )  # fmt: skip
        checks["nuisance"] = found.report(sample.arms.levels)
        w = np.ones(len(sample)) if sample.w is None else sample.w
        means = w @ self.scores_ / w.sum()
        self.effect_ = self.finish(
            sample, plan, means, w[:, None] * (self.scores_ - means) / w.sum(),
            estimand=in_words("ATE", sample.treatment, sample.outcome),
            std_error_method=f"doubly robust scores, cross-fitted in {int(folds.max()) + 1} folds, normal law",
            diagnostics=checks,
            warned=warned,
            assumptions=UNCONFOUNDED,
            facts={"n_clipped": found.n_clipped},
        )  # fmt: skip
        self._effects = self._fit_effects(Parts(sample, rows, found, models))
        return self

    def score(self, X: Covariates, y: Outcome, treatment: RoleLike = None, sample_weight: RoleLike = None) -> float:
        """Held-out R-score: how much of the outcome's residuals the effects explain, beyond a constant effect.

        Its nuisances are fitted to the held-out rows, by the models that this estimator's settings name; in a search
        over those name a scorer instead: ``scoring=pandas_causal.metrics.r_score``.

        Parameters
        ----------
        X, y : held-out rows
        treatment : str or array-like, optional
            By default the column named at fit.
        sample_weight : array-like (m,), optional
        """
        check_is_fitted(self, "effect_")
        return r_score_of(self, X, y, treatment, sample_weight)

    def best_linear_projection(self, columns: Sequence[Any] | None = None, arm: Any = None) -> Effect:
        """Linear function of covariates that is nearest to the effects: doubly robust scores regressed on them.

        Its errors hold whatever the learner's effects are.

        Parameters
        ----------
        columns : list of covariates, optional
            All by default.
        arm : level, optional

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
        basis = EffectBasis.of(sample.X, sample.encoder.names, modifier_columns(sample, columns, "columns"))
        contrast = self.scores_[:, 1 + j] - self.scores_[:, 0]
        linear = project_scores(basis, contrast[:, None], sample, [self._contrast(j)])
        u = linear.uncertainty
        return replace(
            self.effect_,
            rows=Estimates(pd.Series(u.values, index=u.names, name="estimate"), u),
            estimand=f"best linear projection of the effect of {self._contrast(j)} on {sample.outcome}",
            std_error_method="doubly robust scores, HC1" if not sample.cluster else "clustered (CR1)",
            estimator=self,
        )

    def test_heterogeneity(self, columns: Sequence[Any] | None = None, arm: Any = None) -> Check:
        """Test that the effect does not vary linearly with any covariate, by the best linear projection.

        Parameters
        ----------
        columns, arm : as in :meth:`best_linear_projection`
        """
        return slopes_test(self.best_linear_projection(columns, arm))

    def summary_tree(
        self,
        depth: int = 2,
        *,
        columns: Sequence[Any] | None = None,
        arm: Any = None,
        min_leaf: float = 0.05,
        random_state: int | None = 0,
    ) -> Effect:
        """One small tree that tells effects apart, and the mean effect in each of its leaves, honestly.

        The learner is fitted anew to one half of the rows and a tree to its effects there; the other half's doubly
        robust scores say what the effect of each leaf is, so that intervals count no search.

        Parameters
        ----------
        depth : int
            Splits from the root to a leaf.
        columns : list of covariates, optional
            What the tree may split by; all by default.
        arm : level, optional
        min_leaf : float
            Least share of the half's rows in a leaf.
        random_state : int or None
            Of the halves.

        Returns
        -------
        Effect
            A row per leaf, named by its rule, the least affected first.

        References
        ----------
        Athey and Imbens (2016), "Recursive partitioning for heterogeneous causal effects", PNAS 113, for honesty.
        """
        from pandas_causal.heterogeneity.summary_tree import honest_leaves

        check_is_fitted(self, "effect_")
        legal = {"depth": at_least(1), "min_leaf": SHARE, "random_state": or_none(at_least(0))}
        check_settings({"depth": depth, "min_leaf": min_leaf, "random_state": random_state}, legal)
        j, sample = self._position(arm), self._sample
        at = modifier_columns(sample, columns, "columns")
        rows, check = honest_leaves(
            self, sample, self.scores_[:, 1 + j] - self.scores_[:, 0], j, depth, at, min_leaf, random_state
        )
        if sample.cluster:
            rows = replace(rows, uncertainty=rows.uncertainty.cluster(sample.cluster))
        found = replace(
            self.effect_, rows=rows, estimand=f"average effect of {self._contrast(j)} on {sample.outcome} by leaf",
            diagnostics=Checks({"leaves": check}), estimator=None,
            std_error_method="doubly robust scores of the half that the tree did not see, normal law"
            if not sample.cluster else "clustered (CR1)",
        )  # fmt: skip
        return found.explained()

    @property
    def sample_weights(self) -> Floats | None:
        """Weights of the fitted rows (n,), with mean 1; None where none were given."""
        return self._sample.w

    @property
    def row_identity(self) -> RowIdentity:
        """Which rows were fitted."""
        return self._sample.rows

    @property
    def sample_clusters(self) -> tuple[Values, ...]:
        """Cluster labels of the fitted rows, an array a way."""
        return self._sample.cluster

    # -- for subclasses ----------------------------------------------------------------------------------------------

    def _raw_rows(self, sample: Sample) -> TrainingRows:
        """Covariates as they were given, for models that take missing values."""
        frame = sample.inputs.covariates
        words = [str(c) for c in frame if not is_numeric(frame[c])]
        if words:
            raise CausalArgumentError(
                f"encode=False gives models the covariates as they are, and {words} hold no numbers; encode them"
                " before, or leave encode=True"
            )
        if getattr(self, "formula", None) is not None:
            raise CausalArgumentError("a formula encodes the covariates: leave encode=True, or the formula out")
        absent = frame.isna().any()
        for setting in ("outcome_model", "propensity_model", "final_model") if absent.any() else ():
            spec = getattr(self, setting, "boosting")
            if isinstance(spec, str) and spec != "boosting" and (setting, spec) != ("final_model", "linear"):
                raise CausalArgumentError(
                    f"encode=False leaves missing values of {list(map(str, frame.columns[absent]))} to the models, and"
                    f" {setting}={spec!r} takes none; use 'boosting' or a model that does"
                )
        names = [str(c) for c in frame] if sample.columns is not None else None
        return replace(sample.training_rows(), X=_as_given(frame), columns=names, levels=None)

    def _modifiers(self, sample: Sample) -> Positions:
        """Columns that effects may vary with, of the matrix that models are given."""
        chosen = getattr(self, "effect_modifiers", None)
        at = modifier_columns(sample, chosen)
        if self.encode:
            return at
        names = list(sample.inputs.covariates)
        return np.array([names.index(c) for c in (names if chosen is None else dict.fromkeys(chosen))], dtype=np.intp)

    def _predicted_of(self, frame: pd.DataFrame, X: Floats) -> Floats:
        if self.encode or isinstance(self._effects, LinearEffects):
            return self._predicted(X)
        return self._predicted(_as_given(frame[list(self.covariates_)]))

    def _fit_effects(self, parts: Parts) -> Effects:
        raise NotImplementedError

    def _predicted(self, X: Floats) -> Floats:
        return self._effects.predict(X)

    def _rows(self, j: int, X: Floats) -> Influence | None:
        return self._effects.of_treatment(j, X) if isinstance(self._effects, LinearEffects) else None

    def _averages(self, j: int) -> Effect | None:
        if isinstance(self._effects, LinearEffects):
            return None
        contrast = self.scores_[:, 1 + j] - self.scores_[:, 0]
        return row_scores(self._sample, contrast, self.effect_, f"average effect of {self._contrast(j)} on "
                          f"{self._sample.outcome}")  # fmt: skip


def _as_given(frame: pd.DataFrame) -> Floats:
    """Columns of numbers as a matrix, missing ones NaN."""
    if not frame.shape[1]:
        return np.empty((len(frame), 0))
    return np.column_stack([as_float(frame[c]) for c in frame])


@dataclass(frozen=True, eq=False)
class Parts:
    """What effects are learned from."""

    sample: Sample
    rows: TrainingRows
    found: ArmNuisances
    models: NuisanceModels

    def whole_outcome(self) -> Nuisance:
        """Outcome models by arm, of all rows, of the kind that was chosen out of fold."""
        spec = self.models.outcome
        return in_label_order(
            fit_outcome, self.sample.inputs.index, spec, self.rows, None, random_state=self.models.random_state,
            n_jobs=self.models.n_jobs, before=self.found.outcome,
        )  # fmt: skip

    def whole_propensity(self) -> Nuisance:
        """The propensity model of all rows."""
        spec, before = self.models.treatment, self.found.propensity
        return in_label_order(
            fit_propensity, self.sample.inputs.index, spec, replace(self.rows, y=None), None,
            random_state=self.models.random_state, n_jobs=self.models.n_jobs,
            before=before,
        )  # fmt: skip

    def regression(self, spec: Model, at: Positions, target: Floats, w: Floats | None, columns: Positions) -> Nuisance:
        """Regression of a target (m,) on some columns, of the rows at some positions, weighted."""
        return fit_final(self.rows, self.sample.inputs.index, spec, at, target, w, columns, self.models)

    def weights(self, at: Positions | slice = slice(None), more: Floats | None = None) -> Floats | None:
        """Sample weights of some rows times further weights of them."""
        w = None if self.rows.w is None else self.rows.w[at]
        if more is None:
            return w
        return more if w is None else w * more


# -- S and T ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _OneModel:
    """One regression on covariates and indicators of the arms."""

    model: Nuisance
    K: int

    def predict(self, X: Floats) -> Floats:
        none = np.zeros((len(X), self.K - 1))
        levels = []
        for a in range(self.K):
            received = none.copy()
            if a:
                received[:, a - 1] = 1.0
            levels.append(self.model.on(np.hstack([X, received]))[:, 0])
        return np.column_stack([level - levels[0] for level in levels[1:]])


class SLearner(ArmLearner):
    """S-learner: one regression of the outcome on covariates and treatment; the effect is what the treatment changes.

    A regression that shrinks may shrink the effect with it. Effects of single rows have no standard error; averages
    over groups have, by doubly robust scores of the cross-fitted nuisances.

    Parameters
    ----------
    outcome_model : {"auto", "linear", "ridge", "boosting"} or scikit-learn model
    propensity_model : {"auto", "linear", "ridge", "boosting"} or scikit-learn classifier
        For averages, scores and the overlap check.
    encode : bool
        False gives the models the covariates as they are, missing values too, where every model takes them
        ("boosting", or scikit-learn's that do); all must be numbers. Linear effects and the checks of overlap and
        balance see them encoded all the same.
    cv, clip, control, formula, random_state, n_jobs
        As in :class:`AIPW`.
    memory : path or joblib.Memory, optional
        Where fitted nuisances are kept: see :func:`reuse_nuisances`.

    Attributes
    ----------
    effect_ : Effect
        Average effects, doubly robust.
    scores_ : ndarray (n, K)
        Doubly robust scores of the mean outcome in every arm.
    propensity_ : ndarray (n, K)
    folds_ : ndarray (n,)

    References
    ----------
    Kunzel, Sekhon, Bickel and Yu (2019), "Metalearners for estimating heterogeneous treatment effects", PNAS 116.
    """

    nested: ClassVar[dict[str, str]] = {"outcome_model": "boosting", "propensity_model": "boosting"}

    def __init__(
        self,
        *,
        outcome_model: Model = "auto",
        propensity_model: Model = "auto",
        encode: bool = True,
        cv: object = 5,
        clip: float = 0.01,
        control: Hashable = None,
        formula: str | None = None,
        random_state: int | None = 0,
        n_jobs: int | None = None,
        memory: Any = None,
    ) -> None:
        self.outcome_model = outcome_model
        self.propensity_model = propensity_model
        self.encode = encode
        self.cv = cv
        self.clip = clip
        self.control = control
        self.formula = formula
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.memory = memory

    def _fit_effects(self, parts: Parts) -> Effects:
        sample, rows, K = parts.sample, parts.rows, len(parts.sample.arms)
        received = (sample.codes[:, None] == np.arange(1, K)).astype(float)
        names = [f"{sample.treatment}_{level}" for level in sample.arms.levels[1:]]
        own = EveryLevel(tuple(names), tuple(range(K - 1)))
        joined = replace(
            rows,
            X=np.hstack([rows.X, received]),
            arms=np.zeros(len(rows), dtype=np.int8),
            n_arms=1,
            columns=None if rows.columns is None else [*rows.columns, *names],
            design=None,
            levels=None if rows.levels is None else rows.levels.beside(own, rows.X.shape[1]),
        )
        settings = {"random_state": parts.models.random_state, "n_jobs": parts.models.n_jobs}
        model = in_label_order(fit_outcome, sample.inputs.index, parts.models.outcome, joined, None, **settings)
        return _OneModel(model, K)


@dataclass(frozen=True, eq=False)
class _ByArm:
    """Regressions by arm; the effect is their difference."""

    model: Nuisance

    def predict(self, X: Floats) -> Floats:
        levels = self.model.on(X)
        return levels[:, 1:] - levels[:, [0]]


class TLearner(SLearner):
    """T-learner: a regression in every arm; the effect is their difference.

    Where one arm is small, or the arms' regressions are regularised differently, their difference shows effects that
    are not there. The parameters are those of :class:`SLearner`; `outcome_model` is fitted in every arm.

    References
    ----------
    Kunzel, Sekhon, Bickel and Yu (2019), PNAS 116.
    """

    def _fit_effects(self, parts: Parts) -> Effects:
        return _ByArm(parts.whole_outcome())


# -- X, R and DR ------------------------------------------------------------------------------------------------------


class _TwoStage(SLearner):
    """What the learners with a model of the effect share."""

    nested: ClassVar[dict[str, str]] = {
        "outcome_model": "boosting", "propensity_model": "boosting", "final_model": "boosting",
    }  # fmt: skip

    def __init__(
        self,
        *,
        outcome_model: Model = "auto",
        propensity_model: Model = "auto",
        final_model: Model = "auto",
        effect_modifiers: Sequence[Any] | None = None,
        encode: bool = True,
        cv: object = 5,
        clip: float = 0.01,
        control: Hashable = None,
        formula: str | None = None,
        random_state: int | None = 0,
        n_jobs: int | None = None,
        memory: Any = None,
    ) -> None:
        self.outcome_model = outcome_model
        self.propensity_model = propensity_model
        self.final_model = final_model
        self.effect_modifiers = effect_modifiers
        self.encode = encode
        self.cv = cv
        self.clip = clip
        self.control = control
        self.formula = formula
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.memory = memory

    def _is_linear(self, columns: Positions) -> bool:
        return isinstance(self.final_model, str) and (self.final_model == "linear" or not len(columns))


@dataclass(frozen=True, eq=False)
class _Imputed:
    """Two models of every arm's effect, among the arm's rows and the controls', mixed by the propensity."""

    among_treated: tuple[Nuisance, ...]
    among_controls: tuple[Nuisance, ...]
    propensity: Nuisance | Floats
    columns: Positions
    clip: float

    def predict(self, X: Floats) -> Floats:
        part = X if len(self.columns) == X.shape[1] else X[:, self.columns]
        if isinstance(self.propensity, Nuisance):
            e = self.propensity.on(X)
            e = np.clip(e, self.clip, 1 - self.clip) if self.clip else e
        else:
            e = np.broadcast_to(self.propensity, (len(X), len(self.propensity)))
        out = []
        for k, (one, zero) in enumerate(zip(self.among_treated, self.among_controls, strict=True)):
            share = e[:, 1 + k] / (e[:, 1 + k] + e[:, 0])
            out.append(share * zero.on(part)[:, 0] + (1 - share) * one.on(part)[:, 0])
        return np.column_stack(out)


class XLearner(_TwoStage):
    """X-learner: what the other arm's regression says every row would have had, then a regression of the differences.

    Effects among the treated and among the controls are learned apart, and mixed by the propensity, so that the larger
    arm's regression serves the smaller arm. Effects of single rows have no standard error; averages over groups have.

    Parameters
    ----------
    outcome_model, propensity_model, encode, cv, clip, control, formula, random_state, n_jobs, memory
        As in :class:`SLearner`.
    final_model : {"auto", "linear", "ridge", "boosting"} or scikit-learn regressor
        Of the imputed effects.
    effect_modifiers : list of covariates, optional
        What the effect may vary with; all covariates by default.

    References
    ----------
    Kunzel, Sekhon, Bickel and Yu (2019), PNAS 116, eq. (9) and (10).
    """

    def _fit_effects(self, parts: Parts) -> Effects:
        sample = parts.sample
        columns = self._modifiers(sample)
        mu = parts.whole_outcome().predictions
        treated, controls = [], []
        zero = np.flatnonzero(sample.codes == 0)
        for a in range(1, len(sample.arms)):
            one = np.flatnonzero(sample.codes == a)
            gained, lost = sample.y[one] - mu[one, 0], mu[zero, a] - sample.y[zero]
            treated.append(parts.regression(self.final_model, one, gained, parts.weights(one), columns))
            controls.append(parts.regression(self.final_model, zero, lost, parts.weights(zero), columns))
        share: Nuisance | Floats
        if sample.propensity is None:
            share = parts.whole_propensity()
        else:  # of new rows only the shares are known
            share = np.average(sample.propensity, axis=0, weights=sample.w)
        return _Imputed(tuple(treated), tuple(controls), share, columns, self.clip)


class RLearner(_TwoStage):
    r"""R-learner: the effect that best explains the outcome's residuals by the treatment's.

    Minimises :math:`\sum_i (y_i - m(x_i) - (d_i - e(x_i)) \tau(x_i))^2` over models :math:`\tau`, with m and e
    cross-fitted: a regression of ``(y - m) / (d - e)`` with weights ``(d - e)^2``, by any model that takes weights.
    With ``final_model="linear"`` effects of single rows have standard errors, as those of :class:`LinearDML`. With
    several arms each is compared with the control's rows.

    The parameters are those of :class:`XLearner`; `outcome_model` is also fitted to all arms together.

    References
    ----------
    Nie and Wager (2021), "Quasi-oracle estimation of heterogeneous treatment effects", Biometrika 108, eq. (4).
    """

    def _fit_effects(self, parts: Parts) -> Effects:
        sample = parts.sample
        columns = self._modifiers(sample)
        names = list(sample.arms.contrasts)
        if self._is_linear(columns):
            y, D = self._residuals(parts, np.arange(len(sample)), None)
            basis = EffectBasis.of(sample.X, sample.encoder.names, modifier_columns(sample, self.effect_modifiers))
            fit = fit_on_basis(basis, D, y, sample.w, names)
            linear = LinearEffects.of(
                basis, fit.values, fit.contributions, sample.rows, names, clusters=sample.clusters
            )
            return linear.clustered(sample.cluster) if sample.cluster else linear
        models = []
        for a in range(1, len(sample.arms)):
            at = np.flatnonzero((sample.codes == 0) | (sample.codes == a))
            y, D = self._residuals(parts, at, a)
            d = np.where(np.abs(D[:, 0]) < 1e-12, 1e-12, D[:, 0])
            weights = parts.weights(at, np.square(d))
            models.append(parts.regression(self.final_model, at, y / d, weights, columns))
        return Regressions(tuple(models), columns)

    def _residuals(self, parts: Parts, at: Positions, a: int | None) -> tuple[Floats, Floats]:
        """Residuals of the outcome, and of the arms or of one arm beside the control."""
        sample, e = parts.sample, parts.found.e[at]
        rows: TrainingRows = parts.rows if len(at) == len(sample) else parts.rows.take(at)
        codes: Codes = sample.codes[at]
        if a is not None:
            e = e[:, [0, a]] / e[:, [0, a]].sum(axis=1, keepdims=True)
            codes = (codes == a).astype(np.int8)
        rows = replace(rows, arms=codes, n_arms=e.shape[1])
        names = [str(v) for v in sample.arms.contrasts] if a is None else [str(sample.arms.contrasts[a - 1])]
        found = residuals_of(
            rows, None, (sample.outcome, names), parts.found.folds[at], sample.inputs.index[at], parts.models, known=e
        )
        return found.y, found.D


class DRLearner(_TwoStage):
    r"""Doubly robust learner: a regression of doubly robust scores on covariates.

    The score :math:`\mu_1 - \mu_0 + D (Y - \mu_1) / e - (1 - D) (Y - \mu_0) / (1 - e)`, with cross-fitted nuisances,
    has the effect as its mean given the covariates if either nuisance is right. With ``final_model="linear"`` effects
    of single rows have standard errors: they speak of the best linear projection.

    The parameters are those of :class:`XLearner`; `final_model` is fitted to the scores.

    References
    ----------
    Kennedy (2023), "Towards optimal doubly robust estimation of heterogeneous causal effects", Electronic Journal of
    Statistics 17, algorithm 1; Semenova and Chernozhukov (2021), Econometrics Journal 24, for the linear one.

    Examples
    --------
    >>> DRLearner().fit(frame, y, treatment="t").effect(frame)  # doctest: +SKIP
    """

    def _fit_effects(self, parts: Parts) -> Effects:
        sample = parts.sample
        columns = self._modifiers(sample)
        contrasts = self.scores_[:, 1:] - self.scores_[:, [0]]
        if self._is_linear(columns):
            basis = EffectBasis.of(sample.X, sample.encoder.names, modifier_columns(sample, self.effect_modifiers))
            return project_scores(basis, contrasts, sample, list(sample.arms.contrasts))
        every = np.arange(len(sample))
        models = [
            parts.regression(self.final_model, every, contrasts[:, j], parts.weights(), columns)
            for j in range(contrasts.shape[1])
        ]
        return Regressions(tuple(models), columns)
