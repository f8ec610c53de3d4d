"""What the estimate, its errors and its checks read of one fit with instruments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pandas_causal.inference.rows import RowIdentity
from pandas_causal.inference.weak_instruments import EffectiveF, effective_f, is_indefinite
from pandas_causal.instruments.partialled import Partialled
from pandas_causal.kernels.arrays import Codes, Floats, Values

__all__ = ["Design", "few_clusters_text"]


def few_clusters_text(design: Design) -> str:
    """Say which tests are absent where clusters are few."""
    groups = min(int(c.max()) + 1 for c in design.clusters)
    return (
        f"there are {groups} clusters for {design.data.q} instruments: clustered tests of all of them, and sets that"
        " hold with weak instruments, need more clusters than instruments"
    )


@dataclass(frozen=True, eq=False)
class Design:
    """Rows less their covariates, and what goes with them.

    Attributes
    ----------
    data : Partialled
    rows : RowIdentity
    clusters : tuple of ndarray (n,)
        Codes, a way each.
    cluster_labels : mapping of str to ndarray (n,)
        The same as given.
    n_parameters : int
        Coefficients that small-sample factors count.
    used_instruments, treatment_names, absorbed : sequences of str
    outcome_name : str
    n_singletons : int
    notes : tuple of str
    robust : bool
        Whether tests are robust to heteroskedasticity; with clusters they are clustered.
    raw_instrument : ndarray (n,) or None
        Of a single instrument, as it was given.
    means : ndarray (1 + d,)
        Of outcome and treatments.
    """

    data: Partialled
    rows: RowIdentity
    clusters: tuple[Codes, ...]
    cluster_labels: Mapping[str, Values]
    n_parameters: int
    used_instruments: list[str]
    treatment_names: tuple[str, ...]
    outcome_name: str
    absorbed: tuple[str, ...]
    n_singletons: int
    notes: tuple[str, ...]
    robust: bool
    raw_instrument: Floats | None
    means: Floats

    @property
    def is_homoskedastic(self) -> bool:
        """Whether tests rest on residuals of one variance."""
        return not self.robust and not self.clusters

    @property
    def has_few_clusters(self) -> bool:
        """Whether there are no more clusters than instruments, so that clustered tests of all of them do not exist."""
        return any(int(c.max()) + 1 <= self.data.q for c in self.clusters)

    @property
    def factor(self) -> float:
        """Small-sample factor of a regression on covariates and instruments: HC1, or CR1."""
        n, p = self.data.n, self.data.p + self.data.q
        if not self.clusters:
            return n / (n - p)
        groups = min(int(c.max()) + 1 for c in self.clusters)
        return groups / (groups - 1) * (n - 1) / (n - p)

    @cached_property
    def first_stage_scores(self) -> Floats:
        """Covariances (d, d, q, q) of instruments times first-stage residuals, without factors."""
        data = self.data
        V = data.residuals_of_first_stage
        if self.is_homoskedastic:
            rest = (data.ww - data.projected)[1:, 1:] / data.df
            return rest[:, :, None, None] * data.zz
        return data.score_covariances(V, self.clusters)

    @cached_property
    def effective_f(self) -> EffectiveF:
        """Effective F of one treatment, with the covariance of the fit, without factors."""
        data = self.data
        return effective_f(data.zw[:, 1], data.zz, self.first_stage_scores[0, 0])

    @cached_property
    def cragg_donald_f(self) -> float:
        """Cragg and Donald's (1993) smallest root over the instruments: the F of one treatment."""
        data = self.data
        rest = (data.ww - data.projected)[1:, 1:] / data.df
        root = np.linalg.inv(np.linalg.cholesky(rest))
        return float(np.linalg.eigvalsh(root @ data.projected[1:, 1:] @ root.T)[0]) / data.q

    @cached_property
    def rank_statistic(self) -> float:
        """Wald statistic, with the covariance of the fit, that the rank of the first stage is below full.

        NaN where that covariance is indefinite.

        References
        ----------
        Kleibergen and Paap (2006), "Generalized reduced rank tests using the singular value decomposition", Journal of
        Econometrics, theorem 1.
        """
        data, d = self.data, self.data.d
        left = np.linalg.cholesky(data.zz)
        right = np.linalg.inv(np.linalg.cholesky(data.ww[1:, 1:] - data.projected[1:, 1:]))
        Theta = left.T @ data.first_stage @ right.T
        U, _, Vt = np.linalg.svd(Theta)
        # the singular vectors beyond the first d - 1: theta's null space under the hypothesis, up to a rotation
        U2, v = U[:, d - 1 :], right.T @ Vt[-1]
        half = np.linalg.inv(left)
        scores = np.einsum("j,jkab,k->ab", v, self.first_stage_scores, v)
        cover = U2.T @ half @ scores @ half.T @ U2
        value = U2.T @ Theta @ Vt[-1]
        return np.nan if is_indefinite(cover) else float(value @ np.linalg.solve(cover, value))

    @cached_property
    def moment_scores(self) -> Floats:
        """As `null_scores`, robust or clustered whatever the covariance: those of GMM."""
        return self.data.score_covariances(self.data.outcome_and_treatments, self.clusters)

    @cached_property
    def null_scores(self) -> Floats:
        """Covariances (1 + d, 1 + d, q, q) of instruments times [outcome, treatments].

        Their quadratic form in (1, -b) is the covariance of the moments at the coefficients b. For residuals of one
        variance: that variance, of the residuals from covariates and instruments, times the instruments' moments.
        """
        data = self.data
        if self.is_homoskedastic:
            rest = (data.ww - data.projected) / data.df
            return rest[:, :, None, None] * data.zz
        return self.moment_scores
