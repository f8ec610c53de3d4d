"""How much of an effect passes through mediators: natural and controlled effects, doubly robust."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd

from pandas_causal.arms.estimands import EstimandPlan
from pandas_causal.arms.sample import Sample
from pandas_causal.effect.check import Check
from pandas_causal.effect.effect import Effect
from pandas_causal.errors import CausalArgumentError, CausalDataError, suggest
from pandas_causal.inference.influence import repeated_components
from pandas_causal.inputs.arms import Arms
from pandas_causal.inputs.parameters import Legal
from pandas_causal.inputs.types import Covariates, Model, Outcome, RoleLike
from pandas_causal.kernels.arrays import Bools, Codes, Floats
from pandas_causal.mediation.mediator_models import CrossFittedMediators, MediatorEstimator, listed, reordered
from pandas_causal.mediation.natural_scores import arm_mean_score, cell_mean_score, crossed_mean_score
from pandas_causal.models import nuisance as nuisances
from pandas_causal.models.folds import label_order
from pandas_causal.models.linear import least_squares
from pandas_causal.models.nuisance import Nuisance, TrainingRows

__all__ = ["MEDIATION", "NATURAL", "MediationPlan", "NaturalEffects", "mediation_plan", "proportion_mediated"]

MEDIATION = (
    (
        "nothing unmeasured drives both treatment and outcome, or treatment and a mediator, given the covariates"
        " (cannot be tested)"
    ),
    "nothing unmeasured drives both {mediators} and the outcome, given treatment and covariates (cannot be tested)",
    "no cause that {mediators} and the outcome share is itself moved by treatment (cannot be tested)",
    "overlap: every unit could have received every arm, and the mediators of one arm occur in the others (checked)",
    "no interference between units, and one version of each arm",
)
NATURAL = ("total", "natural direct", "natural indirect", "total direct", "pure indirect")
_FEWEST = 10


@dataclass(frozen=True)
class MediationPlan:
    """Means behind the effects of a mediation: arms of outcome and of mediators, and how the effects are made of them.

    Attributes
    ----------
    means : tuple of (int, int)
        Arm of the outcome and arm of the mediators.
    plan : EstimandPlan
        Loadings (effects, means), labels of both.
    """

    means: tuple[tuple[int, int], ...]
    plan: EstimandPlan


def mediation_plan(arms: Arms, treatment: str, controlled: tuple[str, ...] = ()) -> MediationPlan:
    """Natural effects of every arm against the control; `controlled` are labels of further direct effects.

    With t the arm and 0 the control: total ``Y(t, M(t)) - Y(0, M(0))``; natural direct ``Y(t, M(0)) - Y(0, M(0))``;
    natural indirect ``Y(t, M(t)) - Y(t, M(0))``; total direct ``Y(t, M(t)) - Y(0, M(t))``; pure indirect
    ``Y(0, M(t)) - Y(0, M(0))`` (Robins and Greenland 1992; Pearl 2001).
    """
    K = len(arms)
    means = [(0, 0)] + [pair for t in range(1, K) for pair in ((t, t), (t, 0), (0, t))]
    names = [f"outcome under {arms.levels[t]}, mediators under {arms.levels[a]}" for t, a in means]
    rows, labels = [], []
    for t in range(1, K):
        at = {pair: means.index(pair) for pair in ((0, 0), (t, t), (t, 0), (0, t))}
        steps = (((t, t), (0, 0)), ((t, 0), (0, 0)), ((t, t), (t, 0)), ((t, t), (0, t)), ((0, t), (0, 0)))
        for name, (plus, minus) in zip(NATURAL, steps, strict=True):
            row = np.zeros(len(means) + K * len(controlled))
            row[at[plus]], row[at[minus]] = 1.0, -1.0
            rows.append(row)
            labels.append((arms.contrasts[t - 1], name))
        for c, label in enumerate(controlled):
            row = np.zeros(len(means) + K * len(controlled))
            row[len(means) + c * K + t], row[len(means) + c * K] = 1.0, -1.0
            rows.append(row)
            labels.append((arms.contrasts[t - 1], label))
    names += [f"outcome under {level}, {label}" for label in controlled for level in arms.levels]
    index = (
        pd.Index([name for _, name in labels], name="effect")
        if K == 2
        else pd.MultiIndex.from_tuples(labels, names=[treatment, "effect"])
    )
    targets = tuple((None, 0) for _ in names)
    return MediationPlan(tuple(means), EstimandPlan("ATE", targets, np.array(rows), index, pd.Index(names)))


class NaturalEffects(MediatorEstimator):
    """Natural direct and indirect effects, doubly robust and cross-fitted, for one or several mediators of any kind.

    How the average effect of treatment splits into the part that passes through the mediators, taken jointly, and the
    part that does not. Treatment and mediators may interact: the direct effect at the mediators of the control and the
    indirect effect under treatment add up to the total, and so do the other two.

    Rests on more than an average effect does: the mediators must be as good as randomised too, given treatment and
    covariates, and nothing that treatment moves may confound them. Randomising treatment does not give that.

    Parameters
    ----------
    outcome_model : {"auto", "linear", "ridge", "boosting", "splines", "boosted_splines"} or scikit-learn regressor
        (classifier for 0/1 outcomes)
        Outcome given covariates and mediators in every arm; and without the mediators, for the means by arm. "auto"
        joins learners by out-of-fold loss; "linear" is unpenalised and fast.
    propensity_model, mediator_model : "auto", "linear", "ridge", "splines", "boosting", "boosted_splines" or
        scikit-learn classifier
        The arm given covariates; and given covariates and mediators. No density of a mediator is estimated.
    nested_model : {"auto", "linear", "ridge", "boosting", "splines", "boosted_splines"} or scikit-learn regressor
        The first regression averaged over the mediators of another arm.
    controlled : mapping of mediator to value, or list of such, optional
        Values that the mediators are set to, for controlled direct effects: rows "controlled direct (m = value)". Every
        mediator needs one, and at least 10 rows of every arm must have them: mediators with few values.
    cv : int, splitter or iterable of (train, test)
        Folds of the cross-fit, stratified by treatment, clusters whole.
    n_repeats : int
        Independent splits to average over; their spread enters the standard error.
    clip : float
        Propensities are bounded to [clip, 1 - clip]; bounded rows are counted.
    control : level, optional
        Reference arm; else the first category, else the first level in sorted order.
    formula : str, optional
        Right-hand side that makes the covariates: see :class:`ArmComparison`.
    random_state : int or None
    n_jobs : int, optional

    Attributes
    ----------
    effect_ : Effect
        Rows "total", "natural direct", "natural indirect", "total direct", "pure indirect" (with several arms also by
        contrast), and the controlled ones. ``effect.parameters`` holds the means behind them.
    mediators_ : list
    arms_ : tuple
        Levels, the control first.

    References
    ----------
    Robins and Greenland (1992), Epidemiology 3; Pearl (2001), "Direct and indirect effects", UAI; Tchetgen Tchetgen and
    Shpitser (2012), Annals of Statistics 40, Theorem 1; Farbmacher, Huber, Lafferes, Langen and Spindler (2022),
    "Causal mediation analysis with double machine learning", Econometrics Journal 25.

    Examples
    --------
    >>> NaturalEffects().fit(frame, y, treatment="training", mediators=["skill"]).effect()  # doctest: +SKIP
    """

    compares_means: ClassVar[bool] = False  # not the means of two arms, which E-values are of
    legal: ClassVar[Mapping[str, Legal]] = {
        "controlled": Legal(
            lambda value: value is None or isinstance(value, Mapping | list | tuple),
            "None, a mapping of mediator to value, or a list of such",
        )
    }

    def __init__(
        self,
        *,
        outcome_model: Model = "auto",
        propensity_model: Model = "auto",
        mediator_model: Model = "auto",
        nested_model: Model = "auto",
        controlled: Any = None,
        cv: object = 5,
        n_repeats: int = 1,
        clip: float = 0.01,
        control: Hashable = None,
        formula: str | None = None,
        random_state: int | None = 0,
        n_jobs: int | None = None,
    ) -> None:
        super().__init__(
            outcome_model=outcome_model,
            propensity_model=propensity_model,
            mediator_model=mediator_model,
            nested_model=nested_model,
            cv=cv,
            n_repeats=n_repeats,
            clip=clip,
            control=control,
            formula=formula,
            random_state=random_state,
            n_jobs=n_jobs,
        )
        self.controlled = controlled

    def fit(
        self,
        X: Covariates,
        y: Outcome = None,
        *,
        treatment: RoleLike = None,
        mediators: RoleLike = None,
        cluster: RoleLike = None,
        sample_weight: RoleLike = None,
        missing: str = "raise",
    ) -> Self:
        """Fit.

        Parameters
        ----------
        X : DataFrame or array-like (n, p)
            Covariates, none of them affected by treatment, and any roles given by name.
        y : array-like (n,)
            Outcome, in its own units.
        treatment : str or array-like (n,)
            Arms: 0/1, bool, strings or categories.
        mediators : str, list of str, array-like (n,) or (n, q), or DataFrame
            Numbers, bools, categories or strings, complete.
        cluster : str, array-like (n,) or list of up to four, optional
            Units that were sampled or treated together: folds keep them whole, errors are clustered.
        sample_weight : str or array-like (n,), optional
        missing : {"raise", "drop"}
            Rows without outcome, treatment, mediator or another role.

        Raises
        ------
        CausalDataError
            Everything that is wrong with the data, at once.
        OverlapError
            Where arms, or their mediators, cannot be compared.
        CausalArgumentError
            For a wrong setting.
        """
        self._check_models()
        mediators = self._given_mediators_role(mediators, "what part of the effect may pass through")
        sample = self.prepare(
            X, y, treatment=treatment, mediators=mediators, missing=missing, control=self.control, cluster=cluster,
            sample_weight=sample_weight,
        )  # fmt: skip
        M = self._encode_mediators(sample)
        cells = self._cells(sample, M)
        design = mediation_plan(sample.arms, sample.treatment, tuple(cell.label for cell in cells))
        wanted = [(a, t) for t, a in design.means if t != a]
        rng = np.random.default_rng(self.random_state)
        runs = []
        for _ in range(self.n_repeats):
            run = self._cross_fit(sample, M, wanted, rng)
            runs.append((run, self._further(sample, M, run, cells, int(rng.integers(2**31 - 1)))))
        parts = [self._means(sample, design, cells, run, further) for run, further in runs]
        estimates = np.array([values for values, _ in parts])
        contributions = np.mean([c for _, c in parts], axis=0)
        self._store(runs[0][0], sample)
        checks, warned = self._diagnose(sample, wanted, runs[0][0], "ATE")
        through = listed(self.mediators_)
        checks["proportion"] = self._proportion
        self.effect_ = self.finish(
            sample,
            design.plan,
            estimates.mean(axis=0),
            contributions,
            estimand=f"direct and indirect effects of {sample.contrast} on {sample.outcome} through {through}",
            std_error_method=f"influence function, cross-fitted in {int(runs[0][0].folds.max()) + 1} folds, normal law",
            components=repeated_components(estimates, contributions, sample.cluster),
            diagnostics=checks,
            warned=warned,
            assumptions=tuple(text.format(mediators=through) for text in MEDIATION),
            facts={"mediators": [str(m) for m in self.mediators_], "n_clipped": self._n_clipped},
        )
        return self

    # -- private -----------------------------------------------------------------------------------------------------

    def _proportion(self) -> Check:
        return proportion_mediated(self.effect_)

    def _cells(self, sample: Sample, M: Floats) -> list[_Cell]:
        """Values that mediators are set to, as rows of the encoded mediators, and who has them."""
        if self.controlled is None:
            return []
        asked = [self.controlled] if isinstance(self.controlled, Mapping) else list(self.controlled)
        given = sample.inputs.roles["mediators"]
        frame = given.to_frame() if isinstance(given, pd.Series) else given
        frame = frame.set_axis(self.mediators_, axis=1)
        out = []
        for values in asked:
            if not isinstance(values, Mapping) or set(values) != set(self.mediators_):
                names = list(values) if isinstance(values, Mapping) else values
                hint = suggest(names[0], self.mediators_) if isinstance(names, list) and names else ""
                raise CausalArgumentError(
                    f"controlled={values!r} must give every mediator a value{hint}: {self.mediators_}"
                )
            inside = np.ones(len(sample), dtype=bool)
            for name, value in values.items():
                inside &= (frame[name] == value).to_numpy(dtype=bool, na_value=False)
            label = f"controlled direct ({', '.join(f'{k} = {v}' for k, v in values.items())})"
            counts = np.bincount(sample.codes[inside], minlength=len(sample.arms))
            if counts.min() < _FEWEST:
                arm = sample.arms.levels[int(counts.argmin())]
                raise CausalDataError(
                    f"{int(counts.min())} rows of arm {arm!r} have {label[19:-1]}, and"
                    f" {_FEWEST} are needed; set mediators to values that are common, or cut them into classes"
                )
            out.append(_Cell(label, inside, M[int(np.flatnonzero(inside)[0])]))
        return out

    def _further(
        self, sample: Sample, M: Floats, run: CrossFittedMediators, cells: list[_Cell], seed: int
    ) -> tuple[Nuisance, list[_CellNuisance]]:
        """Outcome without the mediators in every arm, and what controlled effects need, on the folds of a run."""
        order = label_order(sample.inputs.index)
        order = np.arange(len(sample)) if order is None else order
        back = np.empty(len(order), dtype=np.intp)
        back[order] = np.arange(len(order))
        rows, by = sample.training_rows().take(order), run.folds[order]
        settings: dict[str, Any] = {"random_state": seed, "n_jobs": self.n_jobs}
        plain = reordered(nuisances.fit_outcome(self.outcome_model, rows, by, **settings), back)
        found = []
        for cell in cells:
            # arm and cell as one treatment: K classes of rows in the cell, one of all others
            codes = np.where(cell.inside, sample.codes, len(sample.arms)).astype(np.int8)[order]
            joint = replace(rows, arms=codes, n_arms=len(sample.arms) + 1)
            shares = reordered(nuisances.fit_propensity(self.propensity_model, joint, by, **settings), back).predictions
            both = self._beside(rows, sample, M[order])
            at = replace(both, X=np.hstack([rows.X, np.broadcast_to(cell.mediators, (len(order), M.shape[1]))]))
            predicted = _at(self.outcome_model, run, both, at, by)
            found.append(_CellNuisance(predicted[back], np.maximum(shares, self.clip) if self.clip else shares))
        return plain, found

    def _means(
        self,
        sample: Sample,
        design: MediationPlan,
        cells: list[_Cell],
        run: CrossFittedMediators,
        further: tuple[Nuisance, list[_CellNuisance]],
    ) -> tuple[Floats, Floats]:
        """Means of a plan and their contributions."""
        plain, found = further
        y, codes = sample.y, sample.codes
        models: dict[str, Floats] = {
            "outcome": run.outcome.predictions,
            "nested": run.nested.predictions,
            "propensity": run.e,
            "given_mediators": run.r,
        }
        scores = [
            arm_mean_score(y, codes, a, plain.predictions, run.e)
            if t == a
            else crossed_mean_score(y, codes, t, a, **models)
            for t, a in design.means
        ]
        scores += [
            cell_mean_score(y, cell.inside & (codes == a), part.outcome[:, a], part.shares[:, a])
            for cell, part in zip(cells, found, strict=True)
            for a in range(len(sample.arms))
        ]
        columns = np.column_stack(scores)
        w = np.ones(len(y)) if sample.w is None else sample.w
        values = w @ columns / w.sum()
        return values, w[:, None] * (columns - values) / w.sum()


@dataclass(frozen=True, eq=False)
class _Cell:
    """Values that the mediators are set to."""

    label: str
    inside: Bools
    mediators: Floats


@dataclass(frozen=True, eq=False)
class _CellNuisance:
    """Outcome (n, K) with the mediators set, and the probability (n, K + 1) of arm and values together."""

    outcome: Floats
    shares: Floats


def _at(spec: Model, run: CrossFittedMediators, rows: TrainingRows, at: TrainingRows, folds: Codes) -> Floats:
    """Outcome in every arm (n, K) at other mediators, by the models that did not see a row's fold."""
    out = np.empty((len(rows), rows.n_arms))
    if nuisances.is_linear(spec, rows.X):
        design, n_folds = rows.standardised(), int(folds.max()) + 1
        coefficients = least_squares(design, rows.outcome(), rows.arms, rows.n_arms, folds, n_folds, rows.w)
        for fold in np.unique(folds):
            held_out = np.flatnonzero(folds == fold)
            out[held_out] = design.on(at.X[held_out]).rows(slice(None)) @ coefficients[fold].T
        return out
    for fold, model in zip(np.unique(folds), run.outcome.predict, strict=True):
        out[folds == fold] = model(at.X[folds == fold])
    return out


def proportion_mediated(effect: Effect) -> Check:
    """Natural indirect over total effect, with its interval by the delta method; of little use where that is small.

    Parameters
    ----------
    effect : Effect
        With rows "total" and "natural indirect".
    """
    levels = effect.estimates.index
    contrasts = [None] if not isinstance(levels, pd.MultiIndex) else list(levels.get_level_values(0).unique())
    rows = []
    for contrast in contrasts:
        labels = ["total", "natural indirect"]
        part = effect.rows.take(
            np.array([list(levels).index(name if contrast is None else (contrast, name)) for name in labels])
        )
        total, indirect = part.array
        ratio = part.transform(
            lambda v: v[1] / v[0], jac=lambda v: np.array([[-v[1] / v[0] ** 2, 1 / v[0]]]), index=["proportion"]
        )
        found = ratio.table(effect.level, effect.reference, "two-sided").iloc[0]
        rows.append((indirect / total, found["std_error"], found["conf_low"], found["conf_high"]))
    columns = ["proportion", "std_error", "conf_low", "conf_high"]
    table = pd.DataFrame(rows, columns=columns, index=pd.Index([c or "effect" for c in contrasts]))
    shown = ", ".join(f"{100 * p:.0f}%" for p in table["proportion"])
    return Check(None, table, f"{shown} of the total effect is natural indirect")
