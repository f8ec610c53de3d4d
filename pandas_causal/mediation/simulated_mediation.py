"""Mediation by two parametric models whose coefficients are drawn, and what confounds mediator and outcome."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Self

import numpy as np
import pandas as pd
from scipy import special
from sklearn.utils.validation import check_is_fitted

from pandas_causal.arms.base import ArmComparison
from pandas_causal.arms.positivity import refuse_separation
from pandas_causal.arms.sample import Sample, check_propensity, collinear, notes
from pandas_causal.effect.check import Check, Checks
from pandas_causal.effect.effect import Effect
from pandas_causal.effect.estimates import Estimates
from pandas_causal.errors import CausalArgumentError, CausalDataError, OverlapError, Problem
from pandas_causal.inference.draws_and_variance import Draws
from pandas_causal.inference.influence import Influence, cluster_component, square_root
from pandas_causal.inference.reference import Normal
from pandas_causal.inputs.column_rules import as_float, is_numeric
from pandas_causal.inputs.parameters import FLAG, LEVEL, N_DRAWS, Legal, check_settings
from pandas_causal.inputs.types import Covariates, Outcome, RoleLike
from pandas_causal.kernels.arrays import Floats
from pandas_causal.mediation.natural_effects import MEDIATION, NATURAL
from pandas_causal.models.linear import StandardisedMatrix, fit_logistic, independent_columns

__all__ = ["SimulatedMediation"]

_NODES = 20  # of Gauss and Hermite, over the error of a continuous mediator


@dataclass(frozen=True, eq=False)
class _Model:
    """Least squares or logistic regression of one column.

    Attributes
    ----------
    columns : ndarray (n, p)
    coefficients : ndarray (p,)
    influence : ndarray (n, p)
        Contributions of the rows to the coefficients.
    residuals : ndarray (n,)
    logistic : bool
    """

    columns: Floats
    coefficients: Floats
    influence: Floats
    residuals: Floats
    logistic: bool

    @classmethod
    def fit(cls, columns: Floats, target: Floats, w: Floats, logistic: bool, what: str) -> _Model:
        """Fit; `what` names the target in errors."""
        p, n = columns.shape[1], len(target)
        if n <= p:
            raise CausalDataError(f"{n} rows are too few for the {p} coefficients of the model of {what}")
        size = np.sqrt(w @ np.square(columns))
        scaled = columns / np.where(size > 0, size, 1.0)
        if len(independent_columns((scaled * w[:, None]).T @ scaled)) < p:
            raise CausalDataError(
                f"in the model of {what}, treatment, mediator and covariates explain one another; leave out the"
                " covariates that decide the mediator, or interactions=False"
            )
        if logistic:
            design = StandardisedMatrix.of(columns[:, 1:]).whole()
            try:
                found = fit_logistic(design, target.astype(int), 2, w=w)
            except OverlapError:
                raise CausalDataError(
                    f"the columns predict {what} perfectly, so its logistic model does not exist; use fewer covariates"
                ) from None
            slopes = found.coefficients[-1, 0, 1:] / design.scale
            b = np.concatenate([[found.coefficients[-1, 0, 0] - slopes @ design.centre], slopes])
            fitted = special.expit(columns @ b)
            gram = (columns * (w * fitted * (1 - fitted))[:, None]).T @ columns
        else:
            gram = (columns * w[:, None]).T @ columns
            b = np.linalg.solve(gram, columns.T @ (w * target))
            fitted = columns @ b
        residuals = target - fitted
        influence = (columns * (w * residuals)[:, None]) @ np.linalg.inv(gram) * np.sqrt(n / (n - p))  # HC1
        return cls(columns, b, influence, residuals, logistic)

    def mean(self, columns: Floats, b: Floats) -> Floats:
        """Predicted mean at other columns and coefficients."""
        eta = columns @ b
        return np.asarray(special.expit(eta) if self.logistic else eta)


class SimulatedMediation(ArmComparison):
    """Direct and indirect effects of one mediator by two regressions, their uncertainty by draws of the coefficients.

    The mediator is regressed on treatment and covariates, the outcome on treatment, mediator and covariates: linear, or
    logistic where it is 0/1. Average outcomes under every combination of arm and mediator's arm follow by averaging
    over rows and over the mediator's distribution (a sum, or a quadrature). Coefficients are drawn from their joint
    normal law, with errors robust to heteroskedasticity or clustered, and the averages repeated: the quasi-Bayesian
    algorithm.
    With two linear models and no interaction the indirect effect is the product of coefficients.

    Rests on the assumptions of :class:`NaturalEffects` and on both models; ``effect.sensitivity("rho")`` says how
    strong a confounder of mediator and outcome must be.

    Parameters
    ----------
    interactions : bool
        Whether treatment and mediator interact in the outcome's model: else direct and indirect effects are the same
        under either arm.
    n_draws : int
        Draws of the coefficients.
    control : level, optional
        Reference arm.
    formula : str, optional
        Right-hand side that makes the covariates: see :class:`ArmComparison`.
    random_state : int or None

    Attributes
    ----------
    effect_ : Effect
        Rows as of :class:`NaturalEffects`.
    mediators_ : list

    References
    ----------
    Imai, Keele and Tingley (2010), "A general approach to causal mediation analysis", Psychological Methods 15,
    algorithm 1; Imai, Keele and Yamamoto (2010), "Identification, inference and sensitivity analysis for causal
    mediation effects", Statistical Science 25, theorem 4, for rho.

    Examples
    --------
    >>> SimulatedMediation().fit(frame, y, treatment="training", mediators="skill").effect()  # doctest: +SKIP
    """

    legal: ClassVar[Mapping[str, Legal]] = {"interactions": FLAG, "n_draws": N_DRAWS}

    def __init__(
        self,
        *,
        interactions: bool = True,
        n_draws: int = 1_000,
        control: Hashable = None,
        formula: str | None = None,
        random_state: int | None = 0,
    ) -> None:
        self.interactions = interactions
        self.n_draws = n_draws
        self.control = control
        self.formula = formula
        self.random_state = random_state

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
        """Fit; the parameters are those of :meth:`NaturalEffects.fit`, with one mediator: a number, or 0/1.

        Raises
        ------
        CausalDataError
            Everything that is wrong with the data, at once; several mediators, or more than two arms.
        """
        self.need("mediators", mediators)
        sample = self.prepare(
            X, y, treatment=treatment, mediators=mediators, missing=missing, control=self.control, cluster=cluster,
            sample_weight=sample_weight,
        )  # fmt: skip
        m = self._mediator(sample)
        if len(sample.arms) != 2:
            raise CausalDataError(
                [
                    Problem(
                        sample.treatment, f"has {len(sample.arms)} arms, and SimulatedMediation compares two", None,
                        "select two arms, or use NaturalEffects",
                    )
                ]
            )  # fmt: skip
        refuse_separation(sample.inputs.covariates, sample.codes, sample.arms.levels, "ATE")
        d, w = (sample.codes == 1).astype(float), np.ones(len(sample)) if sample.w is None else sample.w
        design = StandardisedMatrix.of(sample.X)
        Z = design.rows(slice(None))
        self._sample, self._m, self._d, self._w = sample, m, d, w
        self._Z = _without_collinear(Z)
        self._of_mediator = _Model.fit(self._columns(d), m, w, _is_binary(m), str(self.mediators_[0]))
        self._of_outcome = _Model.fit(self._columns(d, m), sample.y, w, _is_binary(sample.y), sample.outcome)
        estimates, draws, replicates = self._simulate(sample)
        propensity = check_propensity(sample, design)
        checks, warned = self.overlap(sample, propensity.values, "ATE", judged=True)
        through = str(self.mediators_[0])
        few = self.few_clusters(sample)
        labels = pd.Index(NATURAL, name="effect")
        loadings = _LOADINGS
        interact = ", treatment and mediator interact" if self.interactions else ""
        kinds = ["logistic" if model.logistic else "linear" for model in (self._of_mediator, self._of_outcome)]
        self.effect_ = Effect(
            rows=Estimates(pd.Series(loadings @ estimates, index=labels, name="estimate"), Draws(replicates, loadings)),
            estimand=f"direct and indirect effects of {sample.contrast} on {sample.outcome} through {through}",
            n_obs=len(sample),
            assumptions=(
                *(text.format(mediators=through) for text in MEDIATION),
                f"the models of {through} ({kinds[0]}) and of {sample.outcome} ({kinds[1]}{interact}) are right",
            ),
            diagnostics=Checks({**checks, "proportion": self._proportion}),
            warnings=(*warned, *few, *propensity.notes, *notes(sample), *collinear(sample, design.dropped)),
            std_error_method=f"{draws:,} draws of the coefficients (quasi-Bayesian)"
            + (f", clustered by {' and '.join(sample.clusters)}" if sample.clusters else ", robust"),
            reference=Normal(),
            facts={**sample.facts(), "mediators": [through]},
        ).explained()
        return self

    def sensitivity_rho(
        self, rhos: Sequence[float] = tuple(np.round(np.arange(-0.9, 0.91, 0.1), 1)), *, level: float = 0.95
    ) -> Check:
        """Indirect effects if the errors of mediator and outcome are correlated, as a confounder of the two makes them.

        Parameters
        ----------
        rhos : sequence of float
            Correlations between -1 and 1, both left out.
        level : float

        Returns
        -------
        Check
            A row per effect and rho: estimate, std_error, conf_low, conf_high. Its summary names the rho at which the
            indirect effect is zero.

        Raises
        ------
        CausalArgumentError
            Where one of the models is not linear, or for an illegal rho.

        References
        ----------
        Imai, Keele and Yamamoto (2010), Statistical Science 25, theorem 4.
        """
        check_is_fitted(self, "effect_")
        check_settings({"level": level}, {"level": LEVEL})
        values = np.atleast_1d(np.asarray(rhos, dtype=float))
        if values.ndim != 1 or not len(values) or not (np.abs(values) < 1).all():
            raise CausalArgumentError(f"rhos={rhos!r}: give numbers between -1 and 1")
        if self._of_mediator.logistic or self._of_outcome.logistic:
            raise CausalArgumentError("rho is of two linear models; here mediator or outcome is 0/1")
        u = self._moments()
        critical = float(Normal().critical(level, np.array([np.inf]))[0])
        parts, zeros = [], []
        names = ("natural indirect", "pure indirect") if self.interactions else ("natural indirect",)
        for at in (1, 0)[: len(names)]:
            rows = Estimates(pd.Series(u.values), u)
            moved = rows.transform(partial(_indirect, at, values), index=pd.Index(values, name="rho"))
            error = moved.std_errors
            table = pd.DataFrame({"estimate": moved.array, "std_error": error}, index=moved.index)
            table["conf_low"], table["conf_high"] = moved.array - critical * error, moved.array + critical * error
            parts.append(table)
            zeros.append(float(_correlation(u.values, at)))
        table = pd.concat(dict(zip(names, parts, strict=False)), names=["effect"])
        text = ", ".join(f"{name} effect is 0 at rho = {zero:.2f}" for name, zero in zip(names, zeros, strict=False))
        return Check(None, table, f"the {text}")

    # -- private -----------------------------------------------------------------------------------------------------

    def _mediator(self, sample: Sample) -> Floats:
        """The mediator as numbers."""
        given = sample.inputs.roles["mediators"]
        frame = given.to_frame() if isinstance(given, pd.Series) else given
        self.mediators_ = list(frame.columns)
        if frame.shape[1] != 1:
            raise CausalDataError(
                f"SimulatedMediation takes one mediator, and {frame.shape[1]} were given: {self.mediators_[:5]};"
                " several are taken jointly by NaturalEffects"
            )
        column = frame.iloc[:, 0]
        if column.dtype == bool or is_numeric(column):
            return as_float(column)
        raise CausalDataError(
            [
                Problem(
                    str(column.name), "mediator holds no numbers", None,
                    "give a number or 0/1, or use NaturalEffects, which takes categories",
                )
            ]
        )  # fmt: skip

    def _columns(self, d: Floats, m: Floats | None = None) -> Floats:
        """Columns of the mediator's model, or with `m` of the outcome's: intercept, treatment, mediator, product, X."""
        own = [np.ones(len(d)), d]
        if m is not None:
            own += [m, d * m] if self.interactions else [m]
        return np.column_stack([*own, self._Z])

    def _simulate(self, sample: Sample) -> tuple[Floats, int, Floats]:
        """Mean outcomes (4,) in the order of `_MEANS`, how many draws, and their replicates (draws, 4)."""
        both = np.hstack([self._of_mediator.influence, self._of_outcome.influence])
        clusters = sample.cluster
        meat = cluster_component(both, clusters, p=both.shape[1]).meat if clusters else both.T @ both
        point = np.concatenate([self._of_mediator.coefficients, self._of_outcome.coefficients])
        rng = np.random.default_rng(self.random_state)
        drawn = point + rng.standard_normal((self.n_draws, len(point))) @ square_root(meat).T
        sigma = float(np.sqrt(self._w @ np.square(self._of_mediator.residuals) / self._w.sum()))
        return self._averages(point, sigma), self.n_draws, np.array([self._averages(b, sigma) for b in drawn])

    def _averages(self, b: Floats, sigma: float) -> Floats:
        """Average outcome for every pair (arm of the outcome, arm of the mediator)."""
        p = len(self._of_mediator.coefficients)
        b_m, b_y = b[:p], b[p:]
        Z, w = self._Z, self._w
        if not (self._of_mediator.logistic or self._of_outcome.logistic):  # averages of lines: the line at the average
            Z, w = (w @ Z / w.sum())[None, :], np.ones(1)
        base_m, base_y = Z @ b_m[2:], Z @ b_y[4 if self.interactions else 3 :]
        out = []
        for t, a in _MEANS:
            centre = b_m[0] + b_m[1] * a + base_m
            own = b_y[0] + b_y[1] * t + base_y
            slope = b_y[2] + (b_y[3] * t if self.interactions else 0.0)
            if self._of_mediator.logistic:
                q = special.expit(centre)
                if self._of_outcome.logistic:
                    means = q * special.expit(own + slope) + (1 - q) * special.expit(own)
                else:
                    means = own + slope * q
            elif self._of_outcome.logistic:
                means = _over_normal(own + slope * centre, slope * sigma)
            else:
                means = own + slope * centre
            out.append(w @ means / w.sum())
        return np.array(out)

    def _moments(self) -> Influence:
        """Effect of treatment on the mediator, and by arm variances and covariance of the errors, as parameters.

        The outcome's error is that of its regression without the mediator, which lets slopes differ by arm as the model
        with interactions does.
        """
        sample, d, w = self._sample, self._d, self._w
        columns = self._columns(d)
        if self.interactions:  # with slopes of the mediator, those of covariates through it differ by arm too
            columns = np.hstack([columns, d[:, None] * self._Z])
        without = _Model.fit(columns, sample.y, w, False, sample.outcome)
        e_m, e_y = self._of_mediator.residuals, without.residuals
        values, influence = [float(self._of_mediator.coefficients[1])], [self._of_mediator.influence[:, 1]]
        for arm in (0.0, 1.0):
            inside = w * (d == arm) if self.interactions else w
            total = inside.sum()
            for product in (e_m * e_m, e_y * e_y, e_m * e_y):
                mean = float(inside @ product / total)
                values.append(mean)
                influence.append(inside * (product - mean) / total)
        u = Influence.from_contributions(np.array(values), np.column_stack(influence), sample.rows)
        return u.cluster(sample.cluster) if sample.cluster else u

    def _proportion(self) -> Check:
        u = self.effect_.uncertainty
        assert isinstance(u, Draws)  # noqa: S101 - made so
        means = u.values()
        shares = means[:, 2] / means[:, 0]
        low, high = np.quantile(shares, [0.025, 0.975])
        table = pd.DataFrame(
            {
                "proportion": [self.effect_.rows.array[2] / self.effect_.rows.array[0]],
                "conf_low": [low],
                "conf_high": [high],
            },
            index=pd.Index(["effect"]),
        )
        return Check(None, table, f"{100 * table['proportion'].iloc[0]:.0f}% of the total effect is natural indirect")


_MEANS = ((0, 0), (1, 1), (1, 0), (0, 1))
_LOADINGS = np.array(
    [
        [-1.0, 1.0, 0.0, 0.0],  # total
        [-1.0, 0.0, 1.0, 0.0],  # natural direct
        [0.0, 1.0, -1.0, 0.0],  # natural indirect
        [0.0, 1.0, 0.0, -1.0],  # total direct
        [-1.0, 0.0, 0.0, 1.0],  # pure indirect
    ]
)


def _is_binary(values: Floats) -> bool:
    return bool(np.isin(values, (0.0, 1.0)).all())


def _without_collinear(Z: Floats) -> Floats:
    """Standardised covariates without the intercept, and without columns that others explain."""
    X = Z[:, 1:]
    if not X.shape[1]:
        return X
    return X[:, independent_columns(X.T @ X / len(X))]


def _over_normal(centre: Floats, spread: float) -> Floats:
    """Mean of the logistic function of a normal variable."""
    nodes, weights = np.polynomial.hermite.hermgauss(_NODES)
    at = centre[:, None] + np.sqrt(2) * spread * nodes
    return np.asarray(special.expit(at) @ weights / np.sqrt(np.pi))


def _arm_moments(v: Floats, arm: int) -> tuple[float, float, float]:
    """Variances of the errors of mediator and outcome, and their covariance, in an arm."""
    a, b, c = v[1 + 3 * arm : 4 + 3 * arm]
    return float(a), float(b), float(c)


def _correlation(v: Floats, arm: int) -> float:
    mm, yy, my = _arm_moments(v, arm)
    return float(my / np.sqrt(mm * yy))


def _indirect(arm: int, rhos: Floats, v: Floats) -> Floats:
    """``beta sigma_y / sigma_m (r - rho sqrt((1 - r^2) / (1 - rho^2)))``, r the correlation of the errors in an arm."""
    mm, yy, _ = _arm_moments(v, arm)
    r = _correlation(v, arm)
    return np.asarray(v[0] * np.sqrt(yy / mm) * (r - rhos * np.sqrt((1 - r * r) / (1 - rhos * rhos))))
