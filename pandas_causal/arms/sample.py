"""The validated arrays of one fit, and the checks that need them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from pandas_causal.arms.balance import balance, balance_of_squares
from pandas_causal.arms.estimands import common_support
from pandas_causal.effect.check import Check
from pandas_causal.errors import CausalDataError, OverlapError, OverlapWarning, warn
from pandas_causal.inference.rows import RowIdentity
from pandas_causal.inputs.arms import Arms
from pandas_causal.inputs.column_rules import as_float
from pandas_causal.inputs.formula import AnyEncoder
from pandas_causal.inputs.roles import Inputs
from pandas_causal.inputs.treatments import Numbers
from pandas_causal.kernels.arrays import Bools, Codes, Floats, Positions, Values
from pandas_causal.models.cross_fitting import skill
from pandas_causal.models.linear import StandardisedMatrix, fit_logistic
from pandas_causal.models.nuisance import TrainingRows, arm_loss, fit_propensity

__all__ = [
    "CheckPropensity",
    "HeldOut",
    "Sample",
    "check_propensity",
    "collinear",
    "enough_clusters",
    "known_propensity",
    "notes",
    "split_note",
    "supported",
    "trimmed",
]


@dataclass(frozen=True, eq=False)
class Sample:
    """Validated arrays of one fit.

    Attributes
    ----------
    inputs : Inputs
    y : ndarray (n,), float64
    treated : Arms or Numbers
        What every row received.
    X : ndarray (n, q), float64
        Encoded covariates.
    encoder : Encoder or FormulaEncoder
    w : ndarray (n,) or None
        Sample weights with mean 1.
    clusters : mapping of str to ndarray (n,)
        Cluster labels by column name, an array a way.
    propensity : ndarray (n, K) or None
        Known assignment probabilities.
    rows : RowIdentity
    """

    inputs: Inputs
    y: Floats
    treated: Arms | Numbers
    X: Floats
    encoder: AnyEncoder
    w: Floats | None
    clusters: Mapping[str, Values]
    propensity: Floats | None
    rows: RowIdentity

    def __len__(self) -> int:
        return len(self.y)

    @property
    def cluster(self) -> tuple[Values, ...]:
        """Cluster labels, an array a way."""
        return tuple(self.clusters.values())

    @property
    def arms(self) -> Arms:
        """The treatment as arms, of a design that takes them."""
        assert isinstance(self.treated, Arms)  # noqa: S101 - what a class takes is declared on it
        return self.treated

    @property
    def numbers(self) -> Numbers:
        """The treatments as a matrix (n, d) with names, of a design that takes numbers."""
        assert isinstance(self.treated, Numbers)  # noqa: S101 - what a class takes is declared on it
        return self.treated

    @property
    def contrast(self) -> str:
        """The treatment as an estimand calls it: of two arms with the one less the other, ``t (drug - placebo)``."""
        single = isinstance(self.treated, Arms) and len(self.treated) == 2
        return f"{self.treatment} ({self.arms.contrasts[0]})" if single else self.treatment

    @property
    def codes(self) -> Codes:
        """Arm of every row, the control 0."""
        return self.arms.codes

    @property
    def arm_names(self) -> list[str]:
        """Every arm as messages call it."""
        return [f"arm {level!r}" for level in self.arms.levels]

    def training_rows(self, design: StandardisedMatrix | None = None) -> TrainingRows:
        """These rows, for nuisances."""
        levels = self.encoder.for_learners
        groups = self.cluster[0] if self.cluster else None
        return TrainingRows(self.X, self.codes, len(self.arms), self.y, self.w, self.columns, design, levels, groups)

    def arm_means(self) -> Floats:
        """Weighted mean outcome of every arm (K,)."""
        w = np.ones(len(self)) if self.w is None else self.w
        return np.bincount(self.codes, weights=w * self.y) / np.bincount(self.codes, weights=w)

    def balance(self, weights: Floats | None = None, keep: Bools | None = None, *, by_chance: bool = False) -> Check:
        """Balance of the arms under weights, over all rows or those kept; every level of a category has its row."""
        used, levels = slice(None) if keep is None else keep, self.encoder.every_level
        X = levels.on(self.X if keep is None else self.X[keep])
        return balance(X, levels.names, self.codes[used], self.arms.levels, weights, by_chance=by_chance)

    def balance_of_squares(self, weights: Floats, keep: Bools | None = None) -> Check:
        """Balance of squares and products of covariates under weights, over all rows or those kept."""
        used, levels = slice(None) if keep is None else keep, self.encoder.every_level
        X = levels.on(self.X if keep is None else self.X[keep])
        return balance_of_squares(X, levels.names, self.codes[used], self.arms.levels, weights)

    @property
    def treatment(self) -> str:
        """Name of the treatment, or of several."""
        if isinstance(self.treated, Numbers):
            return " and ".join(self.treated.names)
        return str(self.inputs.roles["treatment"].name)

    @property
    def outcome(self) -> str:
        """Name of the outcome."""
        return str(self.inputs.outcome.name) if self.inputs.outcome is not None else "outcome"

    @property
    def columns(self) -> list[str] | None:
        """Names of the encoded covariates, where X had names."""
        return self.encoder.names if self.inputs.named else None

    def facts(self) -> dict[str, Any]:
        """Facts for ``glance``."""
        arms: dict[str, Any] = {}
        if isinstance(self.treated, Arms):
            arms = {
                "control": self.arms.levels[0],
                "control_chosen_by": self.arms.chosen_by,
                "arm_sizes": dict(zip(map(str, self.arms.levels), self.arms.counts.tolist(), strict=True)),
            }
        return {
            "treatment": self.treatment,
            "outcome": self.outcome,
            **arms,
            "n_dropped": self.inputs.n_dropped,
            "n_zero_weight": self.inputs.n_zero_weight,
            "n_imputed": sum(self.encoder.imputed.values()),
            "covariates_dropped": list(self.encoder.dropped),
        }


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Validated arrays of the rows a score is computed on.

    Attributes
    ----------
    codes : ndarray (m,), int8
        Arm of every row, coded as at fit.
    X : ndarray (m, q)
        Encoded covariates.
    y : ndarray (m,)
        Empty where the score does not look at outcomes.
    w : ndarray (m,) or None
    """

    codes: Codes
    X: Floats
    y: Floats
    w: Floats | None

    def skills(self, predicted: Floats, means: Floats) -> list[float]:
        """Skill of predictions (m, K), arm by arm, beside the fitted arm means (K,)."""
        out = []
        for a, mean in enumerate(means):
            base = arm_loss(self.y, np.full(len(self.y), mean), self.codes, a, self.w)
            out.append(skill(arm_loss(self.y, predicted[:, a], self.codes, a, self.w), base))
        return out


def trimmed(n: int, keep: Bools | None, bound: float | None) -> tuple[int, str, list[str]]:
    """Rows trimmed, the population the answer then speaks of, and a note for the reader."""
    out = 0 if keep is None else int((~keep).sum())
    if not out:
        return 0, "the population the rows were sampled from", []
    about = f"rows whose propensity stays {bound:g} away from the extremes ({n - out:,} of {n:,})"
    return out, about, [f"{out:,} rows beyond the propensity bound {bound:g} were trimmed"]


def supported(
    estimand: str,
    propensity: Floats,
    codes: Codes,
    bound: float | None,
    levels: Sequence[Any],
    *,
    decisive: Floats | None = None,
) -> tuple[Bools | None, Floats]:
    """Rows kept by trimming (None: all), and propensities that can be divided by.

    Where propensities were bounded, `decisive` are those before, which say what lies beyond the bound of trimming.

    Raises
    ------
    OverlapError
        If trimming leaves an arm fewer than 2 rows, or a propensity that is used is exactly 0.
    """
    keep = common_support(estimand, propensity if decisive is None else decisive, bound) if bound else None
    used = slice(None) if keep is None else keep
    left = np.bincount(codes[used], minlength=len(levels))
    if left.min() < 2:
        a = int(left.argmin())
        raise OverlapError(f"trim={bound:g} leaves {left[a]} rows of arm {levels[a]!r}, and 2 are needed; trim less")
    zero = int((propensity[used] <= 0).any(axis=1).sum())
    if zero:
        raise OverlapError(
            f"{zero:,} rows have an estimated propensity of exactly 0 or 1, and cannot be compared; bound propensities"
            " (clip= of AIPW and TMLE), leave such rows out (trim=), or use a smoother propensity model"
        )
    return keep, propensity if keep is None else np.where(keep[:, None], propensity, 1 / len(levels))


_SPLIT = (
    "a linear score of the covariates splits the arms of these rows: none has a counterpart they do not set apart,"
    " and the answer rests on what models say of rows that were never seen (see df.causal.overlap)"
)


def split_note(sample: Sample, keep: Bools | None = None) -> list[str]:
    """What to say where a linear score of the covariates splits the arms, so that no logistic propensity exists.

    Warns
    -----
    OverlapWarning
        Where it does.
    """
    X, codes = (sample.X, sample.codes) if keep is None else (sample.X[keep], sample.codes[keep])
    if sample.propensity is not None or not X.shape[1]:
        return []
    try:
        fit_logistic(StandardisedMatrix.of(X), codes, len(sample.arms))
    except OverlapError:
        warn(_SPLIT, OverlapWarning)
        return [_SPLIT]
    return []


class CheckPropensity(NamedTuple):
    """Propensities (n, K) of an estimator that needs none, for its overlap check, and what fitting them showed."""

    values: Floats
    notes: list[str]


def check_propensity(sample: Sample, design: StandardisedMatrix) -> CheckPropensity:
    """Propensities for the overlap check: given, logistic, or ridge where the logistic model does not exist.

    Warns
    -----
    OverlapWarning
        Where it does not, since a linear score splits the arms.
    """
    if sample.propensity is not None:
        return CheckPropensity(sample.propensity, [])
    try:
        return CheckPropensity(fit_propensity("linear", sample.training_rows(design), None).predictions, [])
    except OverlapError:
        warn(_SPLIT, OverlapWarning)
        return CheckPropensity(fit_propensity("ridge", sample.training_rows(), None).predictions, [_SPLIT])


def collinear(sample: Sample, dropped: Positions) -> list[str]:
    """A note of the columns that those before them explain, which unpenalised models leave out."""
    names = [sample.encoder.names[j] for j in dropped]
    return (
        [f"collinear covariates were left out (explained by those before them): {', '.join(names[:5])}"]
        if names
        else []
    )


def notes(sample: Sample) -> list[str]:
    """What was imputed or left out, for the reader."""
    out = []
    if sample.inputs.n_zero_weight:
        out.append(f"{sample.inputs.n_zero_weight:,} rows of weight 0 were left out")
    if sample.inputs.n_dropped:
        out.append(f"{sample.inputs.n_dropped:,} rows with a missing outcome or role were left out (missing='drop')")
    if sample.encoder.imputed:
        parts = ", ".join(f"{k} {v:,}" for k, v in list(sample.encoder.imputed.items())[:5])
        out.append(f"missing covariates were imputed by the mean, with indicators: {parts}")
    if sample.encoder.dropped:
        out.append(f"constant covariates were left out: {', '.join(sample.encoder.dropped[:5])}")
    return out


def enough_clusters(cluster: pd.Series[Any], arms: Arms) -> None:
    """Refuse an arm that is one cluster: where clusters lie within arms, its variance cannot be estimated."""
    groups, names = pd.factorize(cluster)
    touched = np.zeros((len(names), len(arms)), dtype=bool)
    touched[groups, arms.codes] = True
    per_arm = touched.sum(axis=0)
    if (touched.sum(axis=1) == 1).all() and per_arm.min() < 2:
        level = arms.levels[int(per_arm.argmin())]
        raise CausalDataError(
            f"arm {level!r} has one cluster only ({cluster.name}), so its variance cannot be estimated; at least 2 per"
            " arm are needed"
        )


def known_propensity(values: Any, arms: Arms) -> Floats | None:
    """Known assignment probabilities as (n, K), in the order of the arms.

    One column is the probability of the later of two levels, in category or sorted order whichever is the control;
    several are matched by the levels' names where they bear them, else they follow that order.
    """
    if values is None:
        return None
    K = len(arms)
    if isinstance(values, pd.Series):
        if K != 2:
            raise CausalDataError(f"propensity needs one column per arm for {K} arms: {list(arms.natural)}")
        e = as_float(values)
        matrix = np.column_stack([1 - e, e])
    else:
        if values.shape[1] != K:
            raise CausalDataError(f"propensity has {values.shape[1]} columns for {K} arms: {list(arms.natural)}")
        named = values[list(arms.natural)] if set(values.columns) == set(arms.natural) else values
        matrix = np.column_stack([as_float(named.iloc[:, k]) for k in range(K)])
    if not np.allclose(matrix.sum(axis=1), 1, atol=1e-6):
        raise CausalDataError("propensity: the columns must sum to 1 in every row, one column per arm")
    return matrix[:, [arms.natural.index(level) for level in arms.levels]]
