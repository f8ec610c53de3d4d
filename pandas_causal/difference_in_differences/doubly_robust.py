"""Comparisons of two groups over two periods: doubly robust, by weighting, by regression; panels and cross-sections.

Pure functions of arrays. Every estimate comes with contributions, one per row, each column summing to zero: rows of
weight w contribute ``w d(estimate)/dw``, estimation of the propensity and of the outcome models included.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pandas_causal.errors import OverlapError
from pandas_causal.kernels.arrays import Bools, Floats
from pandas_causal.models.linear import StandardisedMatrix, fit_logistic, invert_gram, softmax, solve_gram

__all__ = [
    "METHODS",
    "AttScores",
    "Propensity",
    "calibrated_odds",
    "compare_changes",
    "compare_rows",
    "propensity",
    "separating_column",
]

METHODS = ("dr", "dr_improved", "ipw", "regression")
_TRIM = 0.995
_LARGEST = 1 - 1e-6


class AttScores(NamedTuple):
    """Effects and their contributions.

    Attributes
    ----------
    att : ndarray (m,)
    contributions : ndarray (n, m)
    """

    att: Floats
    contributions: Floats


class Propensity(NamedTuple):
    """Fitted probability of belonging to the cohort.

    Attributes
    ----------
    e : ndarray (n,)
    information : ndarray (p, p)
        Minus the Hessian of the log-likelihood; empty where no likelihood was maximised.
    odds : ndarray (n,)
        e / (1 - e), zero for untreated rows beyond 0.995, which are trimmed.
    n_trimmed : int
    """

    e: Floats
    information: Floats
    odds: Floats
    n_trimmed: int


def propensity(design: StandardisedMatrix, treated: Bools, w: Floats | None, *, improved: bool = False) -> Propensity:
    """Logistic propensity by maximum likelihood, or by calibration of the odds (`improved`).

    Raises
    ------
    OverlapError
        Under perfect separation.
    """
    if improved:
        odds = calibrated_odds(design, treated, w)
        e, information = odds / (1 + odds), np.empty((0, 0))
    else:
        fitted = fit_logistic(design, treated.astype(np.int8), 2, w=w)
        Z = design.rows(slice(None))
        e = softmax(Z @ fitted.coefficients[-1].T)[:, 1]
        information = fitted.information
    e = np.minimum(e, _LARGEST)
    trimmed = ~treated & (e >= _TRIM)
    return Propensity(e, information, np.where(trimmed, 0.0, e / (1 - e)), int(trimmed.sum()))


def separating_column(X: Floats, treated: Bools, names: list[str]) -> str:
    """The first column whose values split the groups, in words with what to do about it; "" if none does alone.

    Parameters
    ----------
    X : ndarray (n, q)
    treated : ndarray (n,) of bool
    names : list of str (q,)
        An indicator of missing values ends in "_missing".
    """
    for name, x in zip(names, X.T, strict=True):
        one, none = x[treated], x[~treated]
        if name.endswith("_missing") and one.min() == one.max() != none.min() == none.max():
            who, other = ("treated", "untreated") if one[0] == 1 else ("untreated", "treated")
            column = name.removesuffix("_missing")
            return (
                f"{column} is missing for all the {who} of this comparison and for none of the {other}: give its values"
                f" there, or leave {column} out"
            )
        if one.min() > none.max() or one.max() < none.min():
            return f"{name} alone splits them: leave it out"
    return ""


def calibrated_odds(design: StandardisedMatrix, treated: Bools, w: Floats | None) -> Floats:
    """Odds exp(z'c) that give the untreated the covariate totals of the treated.

    Minimises ``sum w ((1 - D) exp(z'c) - D z'c)`` by Newton's method (Sant'Anna and Zhao 2020, eq. 3.1; Graham, Pinto
    and Egel 2012).

    Raises
    ------
    OverlapError
        Where no odds balance the groups.
    """
    Z = design.rows(slice(None))
    weight = np.ones(len(Z)) if w is None else w
    control, target = Z[~treated], weight[treated] @ Z[treated]
    control_weight = weight[~treated]
    gamma = np.zeros(Z.shape[1])
    gamma[0] = np.log(weight[treated].sum() / control_weight.sum())

    def loss(c: Floats) -> float:
        with np.errstate(over="ignore"):
            return float(control_weight @ np.exp(control @ c) - target @ c)

    value = loss(gamma)
    for _ in range(100):
        odds = control_weight * np.exp(control @ gamma)
        gradient = control.T @ odds - target
        step = solve_gram((control * odds[:, None]).T @ control, gradient)
        size = 1.0
        while not loss(gamma - size * step) <= value + 1e-12 * abs(value) and size > 1e-8:
            size /= 2
        gamma = gamma - size * step
        value = loss(gamma)
        if np.abs(step).max() < 1e-10 * max(1.0, float(np.abs(gamma).max())):
            return np.exp(Z @ gamma)
        if np.abs(gamma).max() > 200:
            break
    raise OverlapError(
        "no weights of the untreated reproduce the covariate means of the treated: they do not overlap; leave out the"
        " covariate that decides treatment, or use method='regression'"
    )


def compare_changes(
    dy: Floats,
    treated: Bools,
    design: StandardisedMatrix | None = None,
    w: Floats | None = None,
    *,
    method: str = "dr",
    fitted: Propensity | None = None,
) -> AttScores:
    """Average effect on the treated from changes of the outcome of the same units (a panel).

    Parameters
    ----------
    dy : ndarray (n, m)
        Change of the outcome between two periods; m pairs of periods at once.
    treated : ndarray (n,) of bool
    design : StandardisedMatrix (n rows), optional
        Covariates; None compares means.
    w : ndarray (n,), optional
    method : {"dr", "dr_improved", "ipw", "regression"}
    fitted : Propensity, optional
        As :func:`propensity` gives it; needed with a design and any method but "regression".

    References
    ----------
    Sant'Anna and Zhao (2020), "Doubly robust difference-in-differences estimators", Journal of Econometrics, eq. (2.4)
    to (2.7), (3.1), (3.2) and appendix A; Abadie (2005); Heckman, Ichimura and Todd (1997).
    """
    if design is None:
        return _means(dy, treated, w)
    Z = design.rows(slice(None))
    weight = np.ones(len(dy)) if w is None else w
    a = np.where(treated, weight, 0.0)
    a = a / a.sum()
    if method == "regression":
        return _regression(dy, Z, treated, weight, a)
    if fitted is None:
        raise TypeError("method needs a fitted propensity")
    c = np.where(treated, 0.0, weight * fitted.odds)
    c = c / c.sum()
    residual, beta_scores = dy, None
    if method != "ipw":
        fit_weight = np.where(treated, 0.0, weight * fitted.odds if method == "dr_improved" else weight)
        gram, coefficients = _regress(Z, dy, fit_weight)
        residual = dy - Z @ coefficients
        if method == "dr":
            direction = invert_gram(gram) @ ((c - a) @ Z)
            beta_scores = (fit_weight * (Z @ direction))[:, None] * residual
    eta_a, eta_c = a @ residual, c @ residual
    centred = residual - eta_c
    out = a[:, None] * (residual - eta_a) - c[:, None] * centred
    if beta_scores is not None:
        out += beta_scores
    if method != "dr_improved":  # at calibrated odds the estimate does not move with the models, to first order
        moment = (c[:, None] * Z).T @ centred
        out -= (weight * (treated - fitted.e))[:, None] * (Z @ (invert_gram(fitted.information) @ moment))
    return AttScores(eta_a - eta_c, out)


def _means(dy: Floats, treated: Bools, w: Floats | None) -> AttScores:
    """Difference of mean changes."""
    out = np.empty_like(dy)
    att = np.zeros(dy.shape[1])
    for group, sign in ((treated, 1.0), (~treated, -1.0)):
        change = dy[group]
        share = np.full(len(change), 1 / len(change)) if w is None else w[group] / w[group].sum()
        mean = share @ change
        att += sign * mean
        change -= mean
        change *= (sign * share)[:, None]
        out[group] = change
    return AttScores(att, out)


def _regress(Z: Floats, y: Floats, w: Floats) -> tuple[Floats, Floats]:
    weighted = Z * w[:, None]
    gram = weighted.T @ Z
    return gram, solve_gram(gram, weighted.T @ y)


def _regression(dy: Floats, Z: Floats, treated: Bools, weight: Floats, a: Floats) -> AttScores:
    """Changes of the treated minus those predicted from the untreated (Heckman, Ichimura and Todd 1997)."""
    fit_weight = np.where(treated, 0.0, weight)
    gram, coefficients = _regress(Z, dy, fit_weight)
    residual = dy - Z @ coefficients
    att = a @ residual
    direction = invert_gram(gram) @ (a @ Z)
    out = a[:, None] * (residual - att) - (fit_weight * (Z @ direction))[:, None] * residual
    return AttScores(att, out)


def compare_rows(
    y: Floats, treated: Bools, post: Bools, design: StandardisedMatrix | None = None, w: Floats | None = None, *,
    method: str = "dr", fitted: Propensity | None = None,
) -> AttScores:  # fmt: skip
    """Average effect on the treated from rows of two periods (repeated cross-sections), locally efficient for "dr".

    Parameters
    ----------
    y : ndarray (n,)
    treated, post : ndarray (n,) of bool
    design, w, method, fitted : as in :func:`compare_changes`, without "dr_improved"

    References
    ----------
    Sant'Anna and Zhao (2020), eq. (2.8), (2.9), (3.3), (3.4) and appendix A. Of each weighted mean the contribution is
    that of a ratio; the four regressions enter through the gradient of the estimate in their coefficients.
    """
    weight = np.ones(len(y)) if w is None else w
    Z = np.ones((len(y), 1)) if design is None else design.rows(slice(None))
    cells = _Cells(y, treated, post, Z, weight)
    if design is None or method == "regression":
        return _rows_by_regression(cells)
    if fitted is None:
        raise TypeError("method needs a fitted propensity")
    return _rows_by_weights(cells, fitted, method == "dr")


class _Sum:
    """A sum of weighted means and its contributions."""

    def __init__(self, n: int) -> None:
        self.value, self.contributions = 0.0, np.zeros(n)

    def add(self, sign: float, share: Floats, values: Floats) -> None:
        """Add ``sign * share . values``, the shares summing to 1."""
        mean = float(share @ values)
        self.value += sign * mean
        self.contributions += sign * share * (values - mean)

    def result(self) -> AttScores:
        """As a comparison of one column."""
        return AttScores(np.array([self.value]), self.contributions[:, None])


class _Cells:
    """Rows of two groups in two periods, with a regression in each of the four where it is asked for."""

    def __init__(self, y: Floats, treated: Bools, post: Bools, Z: Floats, weight: Floats) -> None:
        self.y, self.treated, self.post, self.Z, self.weight = y, treated, post, Z, weight
        self._models: dict[tuple[bool, bool], tuple[Floats, Floats]] = {}

    def own(self, group: bool, when: bool) -> Floats:
        """Weights of the rows of one group and period, zero elsewhere."""
        return np.where((self.treated == group) & (self.post == when), self.weight, 0.0)

    def share(self, group: bool, when: bool) -> Floats:
        """The same, summing to 1."""
        weight_within = self.own(group, when)
        return weight_within / weight_within.sum()

    def model(self, group: bool, when: bool) -> tuple[Floats, Floats]:
        """Gram matrix and coefficients of the regression in one group and period."""
        if (group, when) not in self._models:
            self._models[group, when] = _regress(self.Z, self.y, self.own(group, when))
        return self._models[group, when]

    def mean(self, group: bool, when: bool) -> Floats:
        """What the regression of one group and period predicts for all rows."""
        return self.Z @ self.model(group, when)[1]

    def through(self, group: bool, when: bool, gradient: Floats) -> Floats:
        """Contributions of that regression to an estimate with this gradient in its coefficients."""
        gram, coefficients = self.model(group, when)
        scores: Floats = (
            self.own(group, when) * (self.Z @ (invert_gram(gram) @ gradient)) * (self.y - self.Z @ coefficients)
        )
        return scores


def _rows_by_regression(cells: _Cells) -> AttScores:
    """Change of the treated means minus the change that the regressions of the untreated predict for the treated."""
    total = _Sum(len(cells.y))
    d = _share(cells.weight, cells.treated)
    total.add(1.0, cells.share(True, True), cells.y)
    total.add(-1.0, cells.share(True, False), cells.y)
    total.add(-1.0, d, cells.mean(False, True) - cells.mean(False, False))
    toward = d @ cells.Z
    total.contributions += cells.through(False, False, toward) - cells.through(False, True, toward)
    return total.result()


def _rows_by_weights(cells: _Cells, fitted: Propensity, doubly_robust: bool) -> AttScores:
    """Weighted changes of both groups; doubly robust in residuals, and locally efficient."""
    Z, weight, treated = cells.Z, cells.weight, cells.treated
    total = _Sum(len(cells.y))
    d, a1, a0 = _share(weight, treated), cells.share(True, True), cells.share(True, False)
    c1, c0 = (_share(weight * fitted.odds, ~treated & (cells.post == t)) for t in (True, False))
    residual = cells.y
    if doubly_robust:
        residual = cells.y - np.where(cells.post, cells.mean(False, True), cells.mean(False, False))
    for sign, own in ((1.0, a1), (-1.0, a0), (-1.0, c1), (1.0, c0)):
        total.add(sign, own, residual)
    moment = (c1 * (residual - c1 @ residual) - c0 * (residual - c0 @ residual)) @ Z
    total.contributions -= weight * (treated - fitted.e) * (Z @ (invert_gram(fitted.information) @ moment))
    if doubly_robust:
        for sign, when, own, control in ((1.0, True, a1, c1), (-1.0, False, a0, c0)):
            gap = cells.mean(True, when) - cells.mean(False, when)
            total.add(sign, d, gap)
            total.add(-sign, own, gap)
            total.contributions += sign * cells.through(True, when, (d - own) @ Z)
            total.contributions += sign * cells.through(False, when, (control - d) @ Z)
    return total.result()


def _share(weight: Floats, of: Bools) -> Floats:
    """Weights of some rows, summing to 1."""
    weight_within = np.where(of, weight, 0.0)
    share: Floats = weight_within / weight_within.sum()
    return share
