"""Unpenalised linear and logistic models from sufficient statistics: one pass, folds by subtraction.

Every function is *statistics of a chunk -> sum -> finish*. The matrix is centred and scaled chunk by chunk and never
copied whole. With unpenalised models this changes no prediction, only its accuracy.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import special

from pandas_causal.errors import CausalError, OverlapError
from pandas_causal.kernels.arrays import Bools, Codes, Floats, Positions

__all__ = [
    "Logistic",
    "StandardisedMatrix",
    "fit_logistic",
    "group_grams",
    "independent_columns",
    "invert_gram",
    "least_squares",
    "logistic_probabilities",
    "predict_by_fold",
    "softmax",
    "solve_gram",
    "solve_least_norm",
]

_BLOCK = 16_384
_COLLINEAR = 1e-10
_NARROW = 64  # columns of coefficients


@dataclass(frozen=True, eq=False)
class StandardisedMatrix:
    """A matrix of covariates, standardised on the fly, with an intercept first.

    Attributes
    ----------
    X : ndarray (n, q)
        Raw covariates.
    centre, scale : ndarray (q,)
        Mean and standard deviation.
    kept : ndarray (p - 1,) of int
        Columns used: one that those before it explain but for a share of 1e-10 of its variance is dropped.
    """

    X: Floats
    centre: Floats
    scale: Floats
    kept: Positions

    @classmethod
    def of(cls, X: Floats) -> StandardisedMatrix:
        """Learn centre, scale and collinear columns."""
        n, q = X.shape
        centre = X.mean(axis=0) if q else np.empty(0)
        # the spread first: squares of very large or small numbers leave the range of floats
        spread = np.maximum(X.max(axis=0, initial=-np.inf) - centre, centre - X.min(axis=0, initial=np.inf))
        spread = np.where(spread > 0, spread, 1.0)
        gram = np.zeros((q, q))
        for start in range(0, n, _BLOCK):
            block = (X[start : start + _BLOCK] - centre) / spread
            gram += block.T @ block
        root = np.sqrt(np.diag(gram) / max(n, 1))
        root = np.where(root > 0, root, 1.0)
        scale = spread * root
        kept = independent_columns(gram / np.outer(root, root) / max(n, 1))
        return cls(X, centre, scale, kept)

    def __len__(self) -> int:
        return len(self.X)

    @property
    def p(self) -> int:
        """Columns with the intercept."""
        return len(self.kept) + 1

    @property
    def dropped(self) -> Positions:
        """Collinear columns."""
        return np.setdiff1d(np.arange(self.X.shape[1]), self.kept)

    def whole(self) -> StandardisedMatrix:
        """The same with the collinear columns: for what bounds, or shrinks, every column by itself."""
        return StandardisedMatrix(self.X, self.centre, self.scale, np.arange(self.X.shape[1]))

    def on(self, X: Floats) -> StandardisedMatrix:
        """Return the same standardisation on other rows."""
        return StandardisedMatrix(X, self.centre, self.scale, self.kept)

    def rows(self, at: slice | Positions) -> Floats:
        """Standardised rows (m, p), the intercept first."""
        raw = self.X[at]
        if len(self.kept) < self.X.shape[1]:
            raw = raw[:, self.kept]
        if len(self.X) > _BLOCK and not self.X.flags.c_contiguous:  # a frame's columns: written as they lie
            columns = np.empty((self.p, len(raw)))
            columns[0] = 1.0
            np.subtract(raw.T, self.centre[self.kept, None], out=columns[1:])
            columns[1:] /= self.scale[self.kept, None]
            return columns.T
        out = np.empty((len(raw), self.p))
        out[:, 0] = 1.0
        np.subtract(raw, self.centre[self.kept], out=out[:, 1:])
        out[:, 1:] /= self.scale[self.kept]
        return out

    def blocks(self) -> Iterator[tuple[slice, Floats]]:
        """Chunks of rows with their standardised values."""
        for start in range(0, len(self.X), _BLOCK):
            at = slice(start, min(start + _BLOCK, len(self.X)))
            yield at, self.rows(at)


def independent_columns(gram: Floats, first: int = 0) -> Positions:
    """Columns not explained by those before them: sequential Cholesky on a scaled Gram matrix."""
    q = len(gram)
    L = np.zeros((q, q))  # a column for each that is kept, down all rows at once: thousands of levels stay fast
    kept: list[int] = []
    for j in range(q):
        m = len(kept)
        column = gram[j:, j] - L[j:, :m] @ L[j, :m]
        rest = column[0]
        if rest > _COLLINEAR * gram[j, j] or j < first:
            L[j, m] = np.sqrt(max(rest, np.finfo(float).tiny))
            L[j + 1 :, m] = column[1:] / L[j, m]
            kept.append(j)
    return np.array(kept, dtype=np.intp)


def solve_gram(gram: Floats, moment: Floats) -> Floats:
    """Solve the normal equations; a column that those before it explain gets the coefficient 0."""
    kept = independent_columns(gram)
    out = np.zeros_like(moment)
    if len(kept):
        out[kept] = np.linalg.solve(gram[np.ix_(kept, kept)], moment[kept])
    return out


def solve_least_norm(gram: Floats, moment: Floats) -> tuple[Floats, int]:
    """The shortest solution of the normal equations, and their rank: where columns are collinear none comes first.

    Directions whose eigenvalue is below 1e-10 of the largest count as collinearity.
    """
    values, vectors = np.linalg.eigh(gram)
    used = values > _COLLINEAR * max(float(values[-1]), np.finfo(float).tiny)
    return vectors[:, used] @ ((vectors[:, used].T @ moment) / values[used]), int(used.sum())


def invert_gram(gram: Floats) -> Floats:
    """Invert a Gram matrix, with zeros for the columns that those before them explain."""
    kept = independent_columns(gram)
    out = np.zeros_like(gram)
    out[np.ix_(kept, kept)] = np.linalg.inv(gram[np.ix_(kept, kept)])
    return out


def _together(groups: Codes) -> tuple[Positions, list[tuple[int, slice]]]:
    """An order in which rows of a group stand together, and the slice of every group but those below 0."""
    small = groups.astype(np.int16) if groups.max(initial=0) < 2**15 else groups  # which are sorted by counting
    order = np.argsort(small, kind="stable")
    present, starts = np.unique(small[order], return_index=True)
    stops = [*starts[1:], len(groups)]
    return order, [(int(g), slice(a, b)) for g, a, b in zip(present, starts, stops, strict=True) if g >= 0]


def group_grams(
    design: StandardisedMatrix, y: Floats, groups: Codes, n_groups: int, w: Floats | None = None
) -> tuple[Floats, Floats]:
    """Sum ``z z'`` (g, p, p) and ``z y`` (g, p) by group of rows; rows of group -1 count nowhere."""
    grams = np.zeros((n_groups, design.p, design.p))
    moments = np.zeros((n_groups, design.p))
    for at, Z in design.blocks():
        order, slices = _together(groups[at])
        ordered, target = Z[order], y[at][order]
        weight = None if w is None else w[at][order]
        for g, own in slices:
            z = ordered[own]
            wz = z if weight is None else z * weight[own, None]
            grams[g] += wz.T @ z
            moments[g] += wz.T @ target[own]
    return grams, moments


def least_squares(
    design: StandardisedMatrix,
    y: Floats,
    arms: Codes,
    n_arms: int,
    folds: Codes | None = None,
    n_folds: int = 0,
    w: Floats | None = None,
) -> Floats:
    """Least squares in every arm, leaving each fold out in turn.

    Returns
    -------
    ndarray (n_folds + 1, n_arms, p)
        Coefficients without each fold; the last of all rows.
    """
    k = max(n_folds, 1)
    groups = arms.astype(np.intp) * k + (0 if folds is None else folds)
    grams, moments = group_grams(design, y, groups, n_arms * k, w)
    grams = grams.reshape(n_arms, k, design.p, design.p)
    moments = moments.reshape(n_arms, k, design.p)
    out = np.empty((n_folds + 1, n_arms, design.p))
    for a in range(n_arms):
        gram, moment = grams[a].sum(axis=0), moments[a].sum(axis=0)
        out[n_folds, a] = solve_gram(gram, moment)
        for f in range(n_folds):
            out[f, a] = solve_gram(gram - grams[a, f], moment - moments[a, f])
    return out


def predict_by_fold(design: StandardisedMatrix, coefficients: Floats, folds: Codes | None = None) -> Floats:
    """Linear predictions (n, m), every row by the coefficients of its own fold.

    Parameters
    ----------
    coefficients : ndarray (n_folds + 1, m, p)
    folds : ndarray (n,) or None
        None: the last coefficients for all rows.
    """
    m = coefficients.shape[1]
    out = np.empty((len(design), m))
    every = coefficients[:-1].reshape(-1, design.p).T  # a column for every fold and target
    for at, Z in design.blocks():
        if folds is None:
            out[at] = Z @ coefficients[-1].T
        elif every.shape[1] <= _NARROW:  # all folds for every row cost less than finding the rows of each
            out[at] = (Z @ every).reshape(len(Z), -1, m)[np.arange(len(Z)), folds[at]]
        else:
            order, slices = _together(folds[at])
            ordered, block = Z[order], out[at]
            for f, own in slices:
                block[order[own]] = ordered[own] @ coefficients[f].T
    return out


@dataclass(frozen=True, eq=False)
class Logistic:
    """A fitted multinomial logistic model.

    Attributes
    ----------
    coefficients : ndarray (n_folds + 1, K - 1, p)
        Without each fold in turn; the last of all rows.
    information : ndarray ((K - 1) p, (K - 1) p)
        Minus the Hessian of the log-likelihood of all rows.
    """

    coefficients: Floats
    information: Floats


def softmax(eta: Floats) -> Floats:
    """Probabilities (n, K) from linear predictors (n, K - 1), the first class as reference."""
    if eta.shape[1] == 1:
        out = np.empty((len(eta), 2))
        special.expit(eta[:, 0], out=out[:, 1])
        np.subtract(1.0, out[:, 1], out=out[:, 0])
        return out
    full = np.concatenate([np.zeros((len(eta), 1)), eta], axis=1)
    full -= full.max(axis=1, keepdims=True)
    np.exp(full, out=full)
    full /= full.sum(axis=1, keepdims=True)
    return full


def _block_scores(Z: Floats, label: Codes, beta: Floats, w: Floats | None) -> tuple[float, Floats, Floats]:
    """Log-likelihood, gradient (J, p) and information (J, p, J, p) of one block of rows at beta (J, p)."""
    J, p = beta.shape
    probability = softmax(Z @ beta.T)
    log = np.log(np.maximum(probability[np.arange(len(label)), label], 1e-300))
    q = probability[:, 1:]
    residual = (label[:, None] == np.arange(1, J + 1)) - q
    if w is not None:
        residual *= w[:, None]
    information = np.empty((J, p, J, p))
    for a in range(J):
        for b in range(a + 1):
            curvature = q[:, a] * ((a == b) - q[:, b])
            if w is not None:
                curvature *= w
            if a == b:
                root = Z * np.sqrt(curvature)[:, None]
                information[a, :, a, :] = root.T @ root
            else:
                information[a, :, b, :] = (Z * curvature[:, None]).T @ Z
                information[b, :, a, :] = information[a, :, b, :].T
    return float(log.sum() if w is None else log @ w), residual.T @ Z, information


def _scores(
    design: StandardisedMatrix, codes: Codes, beta: Floats, folds: Codes | None, n_folds: int, w: Floats | None
) -> tuple[Floats, Floats, Floats]:
    """Log-likelihood (f,), gradient (f, J, p), information (f, J p, J p) by fold at beta; fold -1 counts nowhere."""
    J, p = beta.shape
    likelihood = np.zeros(n_folds)
    gradient = np.zeros((n_folds, J, p))
    information = np.zeros((n_folds, J, p, J, p))
    for at, Z in design.blocks():
        weight, label = None if w is None else w[at], codes[at]
        fold_of_row = None if folds is None else folds[at]
        for f in range(n_folds):
            inside = slice(None) if fold_of_row is None else np.flatnonzero(fold_of_row == f)
            one = _block_scores(Z[inside], label[inside], beta, None if weight is None else weight[inside])
            likelihood[f] += one[0]
            gradient[f] += one[1]
            information[f] += one[2]
    return likelihood, gradient, information.reshape(n_folds, J * p, J * p)


def _newton(
    design: StandardisedMatrix,
    codes: Codes,
    n_classes: int,
    use: Bools | None,
    w: Floats | None,
    start: Floats | None = None,
) -> Floats:
    """Maximise the likelihood of the rows in `use` (None: all)."""
    J, p = n_classes - 1, design.p
    folds = None if use is None else np.where(use, 0, -1)
    beta = np.zeros((J, p)) if start is None else start
    weight = np.ones(len(design)) if w is None else w
    total = float(weight.sum() if use is None else weight[use].sum())
    value, gradient, information = _scores(design, codes, beta, folds, 1, w)
    for _ in range(60):
        step = solve_gram(information[0], gradient[0].ravel()).reshape(J, p)
        size = float(np.abs(step).max())
        if size < 1e-9 * max(1.0, float(np.abs(beta).max())):
            return beta + step
        trial = _scores(design, codes, beta + step, folds, 1, w)
        for _ in range(30):
            if trial[0][0] >= value[0] - 1e-12 * total:
                break
            step = step / 2
            trial = _scores(design, codes, beta + step, folds, 1, w)
        beta = beta + step
        value, gradient, information = trial
        if -value[0] < 1e-7 * total or np.abs(beta).max() > 200:
            break
    raise OverlapError(_SEPARATION)


def _warm_start(design: StandardisedMatrix, codes: Codes, n_classes: int, w: Floats | None) -> Floats | None:
    """Fit a spread of 50,000 rows first, where there are many: it leaves two or three passes over all rows."""
    n, m = len(design), 50_000
    if n < 4 * m:
        return None
    at = np.linspace(0, n - 1, m).astype(np.intp)
    if len(np.unique(codes[at])) < n_classes:
        return None
    try:
        return _newton(design.on(design.X[at]), codes[at], n_classes, None, None if w is None else w[at])
    except OverlapError:
        return None


_SEPARATION = (
    "perfect separation: a linear score of the covariates splits the arms (or one category has one arm only), so the "
    "unpenalised logistic propensity does not exist; leave out the covariate that decides treatment, or the rows that "
    "do not overlap, or use a penalised model: propensity_model='ridge'"
)


def fit_logistic(
    design: StandardisedMatrix,
    codes: Codes,
    n_classes: int,
    folds: Codes | None = None,
    n_folds: int = 0,
    w: Floats | None = None,
) -> Logistic:
    """Unpenalised multinomial logistic regression by Newton, leaving each fold out in turn.

    The fit without a fold starts at the fit of all rows and takes Newton steps with one factorisation of its own
    information there (the sum less the fold), so that a step costs a gradient only.

    Raises
    ------
    OverlapError
        Under perfect separation; the message names "ridge".
    """
    beta = _newton(design, codes, n_classes, None, w, _warm_start(design, codes, n_classes, w))
    _, gradient, information = _scores(design, codes, beta, folds if n_folds else None, max(n_folds, 1), w)
    total = information.sum(axis=0)
    out = np.empty((n_folds + 1, *beta.shape))
    out[n_folds] = beta
    if n_folds and folds is not None:
        inverse = np.stack([invert_gram(total - information[f]) for f in range(n_folds)])
        out[:n_folds] = _chord(design, codes, beta, -gradient, inverse, folds, w)
    return Logistic(out, total)


def _chord(
    design: StandardisedMatrix,
    codes: Codes,
    beta: Floats,
    gradient: Floats,
    inverse: Floats,
    folds: Codes,
    w: Floats | None,
) -> Floats:
    """Leave-one-fold-out fits by chord iterations for all folds at once; Newton for each where they stall."""
    n_folds, J, p = gradient.shape
    betas = np.repeat(beta[None], n_folds, axis=0)
    previous = np.inf
    for _ in range(40):
        steps = np.einsum("fij,fj->fi", inverse, gradient.reshape(n_folds, J * p)).reshape(n_folds, J, p)
        betas = betas + steps
        size = float(np.abs(steps).max())
        # the error left is about size * (size / previous): linear convergence
        ratio = min(1.0, size / previous) if np.isfinite(previous) else 1.0
        if size * ratio < 1e-9 * max(1.0, float(np.abs(betas).max())):
            return betas
        if size > 0.7 * previous:
            break
        previous = size
        gradient = _gradients(design, codes, betas, folds, w)
    for f in range(n_folds):
        betas[f] = _newton(design, codes, J + 1, folds != f, w, start=beta.copy())
    return betas


def _gradients(design: StandardisedMatrix, codes: Codes, betas: Floats, folds: Codes, w: Floats | None) -> Floats:
    """Gradient without each fold at its own coefficients (f, J, p)."""
    n_folds, J, p = betas.shape
    out = np.zeros((n_folds, J, p))
    stacked = betas.reshape(n_folds * J, p).T
    for at, Z in design.blocks():
        eta = (Z @ stacked).reshape(len(Z), n_folds, J)
        label, fold_of_row = codes[at], folds[at]
        target = label[:, None] == np.arange(1, J + 1)
        for f in range(n_folds):
            residual = target - softmax(eta[:, f])[:, 1:]
            residual[fold_of_row == f] = 0.0
            if w is not None:
                residual *= w[at][:, None]
            out[f] += residual.T @ Z
    return out


def logistic_probabilities(design: StandardisedMatrix, coefficients: Floats, folds: Codes | None = None) -> Floats:
    """Class probabilities (n, K), every row by the coefficients of its own fold."""
    eta = predict_by_fold(design, coefficients, folds)
    if not np.isfinite(eta).all():
        raise CausalError("the logistic model's predictions are not finite; check the covariates")
    return softmax(eta)
