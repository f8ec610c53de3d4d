"""k-class estimators, generalised method of moments, and jackknifed first stages: arrays in, arrays out."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pandas_causal.errors import CausalDataError, CausalError
from pandas_causal.instruments.partialled import Partialled, PartialledRows
from pandas_causal.kernels.arrays import Codes, Floats

__all__ = ["Fit", "continuously_updated", "fuller_k", "hful", "jackknifed", "k_class", "liml_kappa", "two_step"]


class Fit(NamedTuple):
    """Coefficients in units of outcome and treatments, what each row adds to them, and the curvature.

    Attributes
    ----------
    beta : ndarray (d,)
    contributions : ndarray (n, d)
        Raw: their outer product is the variance (HC0).
    bread : ndarray (d, d)
        Inverse of the curvature, in units of the coefficients: the variance for residuals of variance 1, known.
    sigma2 : float
        Mean squared residual, in units of the outcome.
    k : float or None
        Of a k-class estimator.
    meat : ndarray (d, d) or None
        Variance, where it is not the outer product of the contributions.
    """

    beta: Floats
    contributions: Floats
    bread: Floats
    sigma2: float
    k: float | None = None
    meat: Floats | None = None


def liml_kappa(ww: Floats, projected: Floats) -> float:
    """Smallest root kappa of ``|W'W - kappa W'M W|``, W the outcome and the treatments (Anderson and Rubin 1949).

    It is 1 where nothing is left of an outcome that treatments and covariates fit exactly.
    """
    try:
        rest = np.linalg.cholesky(ww - projected)
    except np.linalg.LinAlgError:
        return 1.0
    half = np.linalg.solve(rest, projected)
    return 1.0 + float(np.linalg.eigvalsh(np.linalg.solve(rest, half.T))[0])


def fuller_k(kappa: float, df: int, constant: float = 1.0) -> float:
    """K of Fuller (1977, Econometrica): LIML's less a constant over the degrees of freedom of the first stage."""
    return kappa - constant / df


def k_class(data: Partialled, k: float) -> Fit:
    """k-class estimator: ``(D'(I - k M) D)^-1 D'(I - k M) y``, M the residual maker of the instruments.

    Parameters
    ----------
    data : Partialled
    k : float
        0: least squares; 1: two-stage least squares; kappa: LIML.
    """
    A = (1 - k) * data.ww + k * data.projected
    beta: Floats = np.asarray(np.linalg.solve(A[1:, 1:], A[1:, 0]), dtype=np.float64)
    own = np.column_stack([data.combination(D=(1 - k) * np.eye(data.d)[j], Z=k * data.first_stage[:, j])
                           for j in range(data.d)])  # fmt: skip
    return _fit(data, beta, _inverse(A[1:, 1:]), own, k)


def _inverse(A: Floats) -> Floats:
    return np.asarray(np.linalg.inv(A), dtype=np.float64)


def _weights(V: Floats, largest: float) -> Floats:
    """Efficient weights: the inverse covariance of the moments, whose trace is at most `largest`.

    Raises
    ------
    CausalError
        Where there is no covariance: an outcome without noise.
    """
    if not np.trace(V) > 1e-20 * largest:
        raise CausalError(
            "treatments and covariates fit the outcome exactly, so that efficient weights do not exist; use"
            " estimator='2sls'"
        )
    return _inverse(V)


def _fit(data: Partialled, beta: Floats, inverse: Floats, own: Floats, k: float | None) -> Fit:
    """Contributions ``inverse x_i e_i``, x the columns `own` (d + q + 1, d) of the rows."""
    d, residual = data.d, data.combination(y=1.0, D=-beta)
    contributions = np.empty((data.n, d))
    C = np.column_stack([own @ inverse.T, residual])
    for b in data.blocks():
        mapped = np.column_stack([b.D, b.Z, b.y]) @ C
        e = mapped[:, d] if b.w is None else mapped[:, d] * b.w
        np.multiply(mapped[:, :d], e[:, None], out=contributions[b.at])
    contributions *= data.unit
    return Fit(beta * data.unit, contributions, _in_units(data, inverse), _sigma2(data, beta), k)


def _in_units(data: Partialled, inverse: Floats) -> Floats:
    """A variance of standardised coefficients for outcomes in their own units."""
    return inverse / np.outer(data.scale_d, data.scale_d)


def _sigma2(data: Partialled, beta: Floats) -> float:
    b = np.r_[1.0, -beta]
    return max(float(b @ data.ww @ b), 0.0) / data.n * data.scale_y**2  # rounding may leave less than nothing


# -- generalised method of moments ------------------------------------------------------------------------------------


def two_step(data: Partialled, clusters: tuple[Codes, ...] = ()) -> Fit:
    """Two-step efficient GMM: weights are the inverse covariance of the moments at two-stage least squares.

    Covariates enter as their own instruments; they are exactly identified, so that the moments of the instruments less
    their covariates, with the block of the covariance that is theirs, give the same coefficients. Contributions hold
    the influence of the estimated weights (Windmeijer 2005, Journal of Econometrics, eq. 2.2 to 2.4, to first order).
    """
    first = k_class(data, 1.0)
    return _gmm(data, first.beta / data.unit, clusters, first.contributions / data.unit)


def continuously_updated(data: Partialled, clusters: tuple[Codes, ...] = ()) -> Fit:
    """Continuously updated GMM (Hansen, Heaton and Yaron 1996): weights at the coefficients themselves.

    The weights depend on the coefficients of the covariates too, which are therefore part of the search: taking the
    covariates out first would give another estimate. Contributions weigh the moments by what is left of
    ``E[z d']`` after its covariance with them (Donald and Newey 2000, Economics Letters).

    Raises
    ------
    CausalError
        Where the minimum is not found.
    """
    from scipy import optimize

    objective = _Updated(data, clusters)
    p = objective.p
    if clusters and int(clusters[0].max()) + 1 <= p + data.q:
        raise CausalDataError(
            f"there are {int(clusters[0].max()) + 1} clusters for {p + data.q} moments (covariates and instruments):"
            " continuously updated weights need more clusters than moments; use estimator='liml'"
        )
    start = np.r_[np.zeros(p), two_step(data, clusters).beta / data.unit]
    found = optimize.minimize(objective, start, jac=True, method="BFGS", options={"gtol": 1e-9, "maxiter": 200})
    theta = np.asarray(found.x, dtype=np.float64)
    for _ in range(10):  # to the rounding of the gradient
        value, gradient = objective(theta)
        steps = 1e-5 * np.eye(len(theta))
        H = np.column_stack([(objective(theta + h)[1] - objective(theta - h)[1]) / 2e-5 for h in steps])
        H = (H + H.T) / 2
        if np.linalg.eigvalsh(H)[0] <= 0:
            break
        move = np.linalg.solve(H, gradient)
        theta = theta - move
        if np.abs(move).max() < 1e-11:
            break
    value, gradient = objective(theta)
    if np.abs(gradient).max() > 1e-4 * max(1.0, value):
        raise CausalError(
            "the continuously updated objective has no interior minimum in these data; use estimator='gmm'"
        )
    weight, adjusted = objective.weighted(theta)
    inverse = _inverse(adjusted.T @ weight @ adjusted)
    pull = (inverse @ adjusted.T @ weight)[p:]
    contributions = np.empty((data.n, data.d))
    for b in data.blocks():
        z, _, e = objective.rows(b, theta)
        contributions[b.at] = (z @ pull.T) * e[:, None]
    contributions -= contributions.mean(axis=0)
    beta = theta[p:]
    return Fit(beta * data.unit, contributions * data.unit, _in_units(data, inverse[p:, p:]), _sigma2(data, beta))


class _Updated:
    """Objective ``g' V^-1 g`` of all coefficients, those of constant and covariates first, and its gradient."""

    def __init__(self, data: Partialled, clusters: tuple[Codes, ...]) -> None:
        self.data, self.clusters = data, clusters
        self.constant = data.n_absorbed == 1
        self.p = len(data.X_at) + self.constant
        self.cross: Floats = np.zeros((self.p + data.q, self.p + data.d))
        for b in data.blocks():
            z, x, _ = self._weighed(b)
            self.cross += z.T @ x

    def _weighed(self, b: PartialledRows) -> tuple[Floats, Floats, Floats]:
        """Instruments (times weights), regressors and outcome of some rows, the covariates in both."""
        own = np.column_stack([np.ones(len(b.y)), b.X]) if self.constant else b.X
        z = np.column_stack([own, b.Z])
        return (z if b.w is None else z * b.w[:, None]), np.column_stack([own, b.D]), b.y

    def rows(self, b: PartialledRows, theta: Floats) -> tuple[Floats, Floats, Floats]:
        """Instruments, regressors and residuals of some rows."""
        z, x, y = self._weighed(b)
        return z, x, y - x @ theta

    def _moments(self, theta: Floats) -> tuple[Floats, Floats, Floats | None]:
        """Moments, their covariance, and totals by cluster."""
        q = self.p + self.data.q
        g, V = np.zeros(q), np.zeros((q, q))
        totals = None if not self.clusters else np.zeros((int(self.clusters[0].max()) + 1, q))
        for b in self.data.blocks():
            z, _, e = self.rows(b, theta)
            scores = z * e[:, None]
            g += scores.sum(axis=0)
            if totals is None:
                V += scores.T @ scores
            else:
                np.add.at(totals, self.clusters[0][b.at], scores)
        return g, V if totals is None else totals.T @ totals, totals

    def _slopes(self, theta: Floats, u: Floats, totals: Floats | None) -> Floats:
        """Covariance of ``z x_j`` with the moments, times u: (p + q, p + d)."""
        out = np.zeros((len(u), self.p + self.data.d))
        by_cluster = None if totals is None else totals @ u
        for b in self.data.blocks():
            z, x, e = self.rows(b, theta)
            pull = (z @ u) * e if by_cluster is None else by_cluster[self.clusters[0][b.at]]
            out += (z * pull[:, None]).T @ x
        return out

    def weighted(self, theta: Floats) -> tuple[Floats, Floats]:
        """Inverse covariance of the moments, and ``E[z x']`` less its covariance with them."""
        g, V, totals = self._moments(theta)
        weight = _inverse(V)
        return weight, self.cross - self._slopes(theta, weight @ g, totals)

    def __call__(self, theta: Floats) -> tuple[float, Floats]:
        g, V, totals = self._moments(theta)
        u: Floats = np.asarray(np.linalg.solve(V, g), dtype=np.float64)
        gradient = -2 * self.cross.T @ u + 2 * self._slopes(theta, u, totals).T @ u
        return float(g @ u), gradient


def _gmm(data: Partialled, first: Floats, clusters: tuple[Codes, ...], influence: Floats) -> Fit:
    """Efficient GMM with the weights at `first`, whose contributions (n, d) are `influence`."""
    omega = data.score_covariances(data.outcome_and_treatments, clusters)
    b = np.r_[1.0, -first]
    W = _weights(np.einsum("j,jkab,k->ab", b, omega, b), float(np.trace(omega[0, 0])))
    G = data.zw[:, 1:]
    H = _inverse(G.T @ W @ G)
    beta: Floats = H @ (G.T @ W @ data.zw[:, 0])
    own = np.stack([data.combination(Z=(W @ G)[:, j]) for j in range(data.d)], axis=1)
    fit = _fit(data, beta, H, own, None)
    if data.q == data.d:
        return fit
    # W at other first-step coefficients, and at another covariance of the moments
    pull = W @ (data.zw @ np.r_[1.0, -beta])  # W g (q,)
    half = np.einsum("jkab,k->jab", omega, b)[1:]
    slope = half + half.transpose(0, 2, 1)
    D = H @ (G.T @ W) @ np.stack([part @ pull for part in slope], axis=1)
    left = -H @ G.T @ W
    extra = influence @ D.T
    C = np.column_stack([data.combination(y=1.0, D=-first)])
    scores = np.empty((data.n, data.d + 1))
    for block in data.blocks():
        e = (np.column_stack([block.D, block.Z, block.y]) @ C)[:, 0]
        if block.w is not None:
            e = e * block.w
        scores[block.at] = np.column_stack([block.Z @ left.T, block.Z @ pull]) * e[:, None]
    if clusters:  # every pair of rows of a cluster shares its product
        codes = clusters[0]
        totals = np.column_stack([np.bincount(codes, column) for column in scores.T])[codes]
        noise = (scores[:, :-1] * totals[:, -1:] + totals[:, :-1] * scores[:, -1:]) / 2
    else:
        noise = scores[:, :-1] * scores[:, -1:]
    extra += noise - noise.mean(axis=0)
    return fit._replace(contributions=fit.contributions + extra * data.unit)


# -- many instruments ------------------------------------------------------------------------------------------------


class _Leverages(NamedTuple):
    """Leverages (n,) in the regression on covariates and instruments, and on covariates alone."""

    all: Floats
    covariates: Floats


def _leverages(data: Partialled) -> _Leverages:
    h, h_x = np.empty(data.n), np.empty(data.n)
    root = np.linalg.inv(np.linalg.cholesky(data.zz))
    root_x = np.linalg.inv(np.linalg.cholesky(data.gram_x)) if len(data.X_at) else np.zeros((0, 0))
    total = float(data.n)  # weights have mean 1
    for b in data.blocks():
        w = 1.0 if b.w is None else b.w
        h_x[b.at] = w * (1 / total + np.square(b.X @ root_x.T).sum(axis=1))
        h[b.at] = h_x[b.at] + w * np.square(b.Z @ root.T).sum(axis=1)
    return _Leverages(h, h_x)


def jackknifed(data: Partialled, *, covariates_too: bool) -> Fit:
    """Instrumental variables with leave-one-out fits of the first stage: JIVE1, or UJIVE with `covariates_too`.

    JIVE: the fit of row i from covariates and instruments, all rows but i (Angrist, Imbens and Krueger 1999, eq. 6),
    less its projection on the covariates. UJIVE: that fit less the leave-one-out fit from the covariates alone (Kolesar
    2013, section 4). Outcome and treatment enter less their covariates, where Kolesar takes them as they are: the
    estimate then does not move when covariates, or a constant, are added to the outcome; what is left of its own noise
    vanishes where leverages are equal.

    The variance adds to the outer product of the contributions what many weak instruments add: the products of
    treatments and residuals of pairs of rows (Chao, Swanson, Hausman, Newey and Woutersen 2012, eq. 3).
    """
    d, n = data.d, data.n
    h, h_x = _leverages(data)
    if h.max() >= 1 - 1e-9:
        raise CausalError(
            f"{int((h >= 1 - 1e-9).sum()):,} rows are fitted exactly by covariates and instruments (leverage 1), so"
            " that nothing is left to predict them by; leave out instruments that mark single rows"
        )
    r = data.mapped(data.residuals_of_first_stage)
    D = data.mapped(data.outcome_and_treatments[:, 1:])
    fit = D / (1 - h_x)[:, None] - r / (1 - h)[:, None] if covariates_too else D - r / (1 - h)[:, None]
    if not covariates_too:
        fit = _less_covariates(data, fit)
    weighted = fit if data.w is None else fit * data.w[:, None]
    y = data.mapped(data.outcome_and_treatments[:, :1])[:, 0]
    inverse = np.linalg.inv(weighted.T @ D)
    beta = inverse @ (weighted.T @ y)
    e = y - D @ beta
    contributions = (weighted @ inverse.T) * e[:, None]
    w = np.ones(n) if data.w is None else data.w
    outer = contributions.T @ contributions
    # pairs i, j: P_ij^2 D_i e_i D_j e_j over (1 - h_i)(1 - h_j), without the diagonal
    u = (D / (1 - h)[:, None]) @ inverse.T * (e * w)[:, None]
    K = np.linalg.inv(np.linalg.cholesky(data.zz))
    sums = np.zeros((d, data.q, data.q))
    own = np.zeros((d, d))
    for b in data.blocks():
        at = b.at
        z = b.Z @ K.T * np.sqrt(w[at])[:, None]
        diagonal = np.square(z).sum(axis=1)
        own += (u[at] * np.square(diagonal)[:, None]).T @ u[at]
        for j in range(d):
            sums[j] += (z * u[at][:, j][:, None]).T @ z
    pairs = np.einsum("jab,kab->jk", sums, sums) - own
    unit = data.unit
    return Fit(
        beta * unit,
        contributions * unit,
        _in_units(data, (inverse + inverse.T) / 2),
        _sigma2(data, beta),
        None,
        (outer + pairs) * np.outer(unit, unit),
    )


def _less_covariates(data: Partialled, columns: Floats) -> Floats:
    """Columns (n, m) less their projection on the covariates and the constant."""
    w = data.w
    out = columns - (columns.mean(axis=0) if w is None else (w @ columns) / w.sum())
    if not len(data.X_at):
        return out
    cross = np.zeros((len(data.X_at), columns.shape[1]))
    for b in data.blocks():
        cross += (b.X if b.w is None else b.X * b.w[:, None]).T @ out[b.at]
    gamma = np.linalg.solve(data.gram_x, cross)
    for b in data.blocks():
        out[b.at] -= b.X @ gamma
    return out


def hful(data: Partialled, constant: float = 1.0) -> Fit:
    """Heteroskedasticity-robust Fuller estimator for many instruments.

    The diagonal of the projection is left out of LIML's, and Fuller's correction is made: ``alpha`` is the smallest
    root for ``W'(P - diag P) W`` beside ``W'W``, W outcome, treatments and covariates; ``(D'(P - diag P - alpha) D)^-1
    D'(P - diag P - alpha) y``, the covariates among the treatments.

    References
    ----------
    Hausman, Newey, Woutersen, Chao and Swanson (2012), "Instrumental variable estimation with heteroskedasticity and
    many instruments", Quantitative Economics, section 2, with their variance for many weak instruments.
    """
    d, n, p = data.d, data.n, len(data.X_at) + 1
    h, _ = _leverages(data)
    # columns [outcome, treatments, constant, covariates]: the first 1 + d less their covariates, which changes neither
    # the treatments' coefficients nor their variance
    m = 1 + d + p
    WW, PP, HH = np.zeros((m, m)), np.zeros((m, m)), np.zeros((m, m))
    WW[: 1 + d, : 1 + d], PP[: 1 + d, : 1 + d] = data.ww, data.projected
    exogenous = np.zeros((p, p))
    exogenous[0, 0] = n
    exogenous[1:, 1:] = data.gram_x
    WW[1 + d :, 1 + d :] = PP[1 + d :, 1 + d :] = exogenous
    C = data.outcome_and_treatments
    for b in data.blocks():
        rows = np.column_stack([np.column_stack([b.D, b.Z, b.y]) @ C, np.ones(len(b.y)), b.X])
        leverage = h[b.at] if b.w is None else h[b.at] * b.w
        HH += (rows * leverage[:, None]).T @ rows
    without = PP - HH
    try:
        root = np.linalg.inv(np.linalg.cholesky(WW))
    except np.linalg.LinAlgError:
        raise CausalError(
            "treatments and covariates fit the outcome exactly, so that HFUL does not exist; use estimator='2sls'"
        ) from None
    smallest = float(np.linalg.eigvalsh(root @ without @ root.T)[0])
    alpha = (smallest - (1 - smallest) * constant / n) / (1 - (1 - smallest) * constant / n)
    A = without - alpha * WW
    inverse = _inverse(A[1:, 1:])
    delta = inverse @ A[1:, 0]
    return _hful_variance(data, delta, inverse, h)


def _hful_variance(data: Partialled, delta: Floats, inverse: Floats, h: Floats) -> Fit:
    """Variance and contributions of HFUL (Hausman et al. 2012, section 2): terms of rows, and of pairs of rows."""
    d, n = data.d, data.n
    C = np.column_stack([data.outcome_and_treatments, *(data.combination(Z=v) for v in data.first_stage.T)])
    e = np.empty(n)
    cross, total = np.zeros(len(delta)), 0.0
    for b in data.blocks():
        part = np.column_stack([b.D, b.Z, b.y]) @ C
        X = np.column_stack([part[:, 1 : 1 + d], np.ones(len(b.y)), b.X])
        e[b.at] = part[:, 0] - X @ delta
        w = e[b.at] if b.w is None else e[b.at] * b.w
        cross += X.T @ w
        total += float(e[b.at] @ w)
    gamma = cross / total
    mean_e = float(e.mean() if data.w is None else np.average(e, weights=data.w))
    projected_e = _projection(data, e, mean_e)
    K = np.linalg.inv(np.linalg.cholesky(data.zz))
    K_x = np.linalg.inv(np.linalg.cholesky(data.gram_x)) if len(data.X_at) else np.zeros((0, 0))
    k_all = data.q + len(data.X_at) + 1
    contributions = np.empty((n, d))
    rows = np.zeros((d, d))
    sums = np.zeros((d, k_all, k_all))
    H = inverse[:d]
    for b in data.blocks():
        at = b.at
        part = np.column_stack([b.D, b.Z, b.y]) @ C
        ones = np.ones(len(b.y))
        X = np.column_stack([part[:, 1 : 1 + d], ones, b.X]) - np.outer(e[at], gamma)
        fitted = np.column_stack([part[:, 1 + d :], ones, b.X]) - np.outer(projected_e[at], gamma)
        w = ones if b.w is None else b.w
        x, f = X @ H.T * (w * e[at])[:, None], fitted @ H.T * (w * e[at])[:, None]
        lever = h[at][:, None]
        contributions[at] = f - lever * x
        rows += f.T @ f - (lever * x).T @ f - f.T @ (lever * x)
        z = np.column_stack([b.Z @ K.T, ones / np.sqrt(n), b.X @ K_x.T]) * np.sqrt(w)[:, None]
        for j in range(d):
            sums[j] += (z * x[:, j][:, None]).T @ z
    meat = rows + np.einsum("jab,kab->jk", sums, sums)
    unit = data.unit
    contributions -= contributions.mean(axis=0)
    return Fit(
        delta[:d] * unit,
        contributions * unit,
        _in_units(data, inverse[:d, :d]),
        _sigma2(data, delta[:d]),
        None,
        meat * np.outer(unit, unit),
    )


def _projection(data: Partialled, e: Floats, mean: float) -> Floats:
    """Projection (n,) of a column on constant, covariates and instruments."""
    cross_x, cross_z = np.zeros(len(data.X_at)), np.zeros(data.q)
    for b in data.blocks():
        w = e[b.at] if b.w is None else e[b.at] * b.w
        cross_x += b.X.T @ w
        cross_z += b.Z.T @ w
    gamma = np.linalg.solve(data.gram_x, cross_x) if len(cross_x) else cross_x
    pi = np.linalg.solve(data.zz, cross_z)
    out = np.empty(data.n)
    for b in data.blocks():
        out[b.at] = mean + b.X @ gamma + b.Z @ pi
    return out
