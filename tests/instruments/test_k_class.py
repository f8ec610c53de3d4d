"""Jackknifed first stages, HFUL and GMM against matrices that the code never forms."""

import numpy as np
import pytest
from scipy import optimize

from pandas_causal.errors import CausalError
from pandas_causal.instruments.k_class import (
    continuously_updated,
    fuller_k,
    hful,
    jackknifed,
    k_class,
    liml_kappa,
    two_step,
)
from pandas_causal.instruments.partialled import Columns, partial_out
from tests.instruments.designs import COVARIATES, linear

FRAME = linear(n=120, q=4, seed=8)
Z = ["z1", "z2", "z3", "z4"]
N = len(FRAME)


def data(treatments=("d",), w=None):
    columns = Columns(
        FRAME[COVARIATES].to_numpy(), FRAME[list(treatments)].to_numpy(), FRAME[Z].to_numpy(), FRAME["y"].to_numpy(), w
    )
    return partial_out(columns, names=Z, treatments=treatments)


def matrices(treatments=("d",)):
    x = np.column_stack([np.ones(N), FRAME[COVARIATES]])
    return FRAME[list(treatments)].to_numpy(), x, np.column_stack([x, FRAME[Z]]), FRAME["y"].to_numpy()


def projection(W):
    return W @ np.linalg.solve(W.T @ W, W.T)


@pytest.mark.parametrize("treatments", [("d",), ("d", "d2")])
def test_jive_leaves_each_row_out_of_its_first_stage(treatments):
    D, x, W, y = matrices(treatments)
    fit = np.empty_like(D)
    for i in range(N):
        rest = np.arange(N) != i
        fit[i] = W[i] @ np.linalg.lstsq(W[rest], D[rest], rcond=None)[0]
    G, X = np.column_stack([fit, x]), np.column_stack([D, x])
    expected = np.linalg.solve(G.T @ X, G.T @ y)
    found = jackknifed(data(treatments), covariates_too=False)
    assert found.beta == pytest.approx(expected[: D.shape[1]], rel=1e-9)
    A = np.linalg.inv(G.T @ X)
    scores = (G * (y - X @ expected)[:, None]) @ A.T
    assert found.contributions == pytest.approx(scores[:, : D.shape[1]], rel=1e-8)


def test_ujive_leaves_each_row_out_of_both_regressions():
    D, x, W, y = matrices()
    fit = np.empty(N)
    for i in range(N):
        rest = np.arange(N) != i
        both, own = (np.linalg.lstsq(V[rest], D[rest, 0], rcond=None)[0] for V in (W, x))
        fit[i] = W[i] @ both - x[i] @ own
    M = np.eye(N) - projection(x)
    expected = fit @ M @ y / (fit @ M @ D[:, 0])
    found = jackknifed(data(), covariates_too=True)
    assert found.beta[0] == pytest.approx(expected, rel=1e-9)
    # hardly any of its own noise: the diagonal of the form in first- and second-stage errors, of JIVE about -3
    P, Px = projection(W), projection(x)
    out = [(V - np.diag(np.diag(V))) / (1 - np.diag(V))[:, None] for V in (P, Px)]
    assert abs(np.trace((out[0] - out[1]).T @ M)) < 0.05
    assert np.trace(out[0].T @ M) < -2


def test_the_variance_for_many_instruments_counts_pairs():
    D, x, W, y = matrices()
    Mx = np.eye(N) - projection(x)
    d, v = Mx @ D[:, 0], Mx @ y
    P = projection(W) - projection(x)
    h = np.diag(projection(W))
    found = jackknifed(data(), covariates_too=False)
    e = v - d * found.beta[0]
    r = d - P @ d
    fit = Mx @ (D[:, 0] - r / (1 - h))
    u = d / (1 - h) * e
    pairs = u @ (P**2 - np.diag(np.diag(P) ** 2)) @ u
    expected = (np.square(fit * e).sum() + pairs) / (fit @ d) ** 2
    assert found.meat[0, 0] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("treatments", [("d",), ("d", "d2")])
@pytest.mark.parametrize("constant", [1.0, 4.0])
def test_hful_by_matrices(treatments, constant):
    D, x, W, y = matrices(treatments)
    P = projection(W)
    off = P - np.diag(np.diag(P))
    X = np.column_stack([D, x])
    bar = np.column_stack([y, X])
    smallest = np.linalg.eigvals(np.linalg.solve(bar.T @ bar, bar.T @ off @ bar)).real.min()
    alpha = (smallest - (1 - smallest) * constant / N) / (1 - (1 - smallest) * constant / N)
    H = X.T @ off @ X - alpha * X.T @ X
    delta = np.linalg.solve(H, X.T @ off @ y - alpha * X.T @ y)
    e = y - X @ delta
    hat = X - np.outer(e, X.T @ e / (e @ e))
    dot, lever = P @ hat, np.diag(P)[:, None]
    middle = (dot * (e**2)[:, None]).T @ dot
    middle -= (hat * lever * (e**2)[:, None]).T @ dot + dot.T @ (hat * lever * (e**2)[:, None])
    scores = hat * e[:, None]
    middle += scores.T @ P**2 @ scores
    V = np.linalg.inv(H) @ middle @ np.linalg.inv(H)
    k = D.shape[1]
    found = hful(data(treatments), constant)
    assert found.beta == pytest.approx(delta[:k], rel=1e-8)
    assert found.meat == pytest.approx(V[:k, :k], rel=1e-7)


def test_leverage_of_one_is_refused():
    marked = FRAME.assign(z4=(np.arange(N) == 3).astype(float))
    columns = Columns(
        marked[COVARIATES].to_numpy(), marked[["d"]].to_numpy(), marked[Z].to_numpy(), marked["y"].to_numpy(), None
    )
    with pytest.raises(CausalError, match=r"1 rows are fitted exactly by covariates and instruments \(leverage 1\)"):
        jackknifed(partial_out(columns, names=Z, treatments=["d"]), covariates_too=False)


def moments(theta, X, W, y, groups=None):
    scores = W * (y - X @ theta)[:, None]
    g = scores.sum(axis=0)
    if groups is not None:
        scores = np.array([scores[groups == k].sum(axis=0) for k in np.unique(groups)])
    return g, scores.T @ scores


@pytest.mark.parametrize("clustered", [False, True])
def test_two_step_and_continuously_updated_by_full_moments(clustered):
    """Covariates are their own instruments; nothing is taken out of anything."""
    D, x, W, y = matrices(("d", "d2"))
    X = np.column_stack([D, x])
    groups = FRAME["g"].to_numpy() if clustered else None
    codes = (np.unique(groups, return_inverse=True)[1],) if clustered else ()
    P = projection(W)
    first = np.linalg.solve(X.T @ P @ X, X.T @ P @ y)
    weight = np.linalg.inv(moments(first, X, W, y, groups)[1])
    G = W.T @ X
    second = np.linalg.solve(G.T @ weight @ G, G.T @ weight @ W.T @ y)
    assert two_step(data(("d", "d2")), codes).beta == pytest.approx(second[:2], rel=1e-9)

    def objective(theta):
        g, V = moments(theta, X, W, y, groups)
        return g @ np.linalg.solve(V, g)

    found = continuously_updated(data(("d", "d2")), codes)
    search = optimize.minimize(objective, second, method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-13,
                               "maxiter": 40_000, "maxfev": 40_000})  # fmt: skip
    assert found.beta == pytest.approx(search.x[:2], abs=1e-4)
    assert found.contributions.sum(axis=0) == pytest.approx(np.zeros(2), abs=1e-10)


def test_kappa_and_fuller():
    d = data()
    kappa = liml_kappa(d.ww, d.projected)
    D, x, W, y = matrices()
    both = np.column_stack([y, D])
    M, Mx = np.eye(N) - projection(W), np.eye(N) - projection(x)
    roots = np.linalg.eigvals(np.linalg.solve(both.T @ M @ both, both.T @ Mx @ both)).real
    assert kappa == pytest.approx(roots.min(), rel=1e-10)
    assert kappa > 1
    assert fuller_k(kappa, d.df) == pytest.approx(kappa - 1 / (N - 7))
    assert k_class(d, kappa).sigma2 == pytest.approx(
        np.square(Mx @ (y - D[:, 0] * k_class(d, kappa).beta[0])).mean(), rel=1e-10
    )
