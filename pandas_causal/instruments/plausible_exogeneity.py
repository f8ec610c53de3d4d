"""Exclusion that is nearly true, and data that contradict it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
import pandas as pd

from pandas_causal.effect.check import Check
from pandas_causal.effect.effect import Effect
from pandas_causal.errors import CausalArgumentError
from pandas_causal.inference.instrument_validity import balke_pearl_bounds, kitagawa_test
from pandas_causal.instruments.design import Design
from pandas_causal.kernels.arrays import Codes, Floats

__all__ = ["bounds_check", "plausible_band", "validity_check"]

_STRENGTHS = 21
_MOST_CORNERS = 6


def plausible_band(design: Design, effect: Effect, direct: float | Sequence[float], method: str, level: float) -> Check:
    """Intervals of two-stage least squares where instruments have direct effects gamma on the outcome.

    "union": the union of the intervals at every gamma whose size is at most the share of `direct`. "local": gamma is
    drawn from a normal with mean zero and the share of `direct` as standard deviation, which adds ``A gamma`` to the
    estimate's noise (local to zero).

    Returns
    -------
    Check
        Table by share (0 to 1) and treatment: conf_low, conf_high. It passes where no interval of a treatment whose
        interval leaves zero out at share 0 holds it at share 1.

    References
    ----------
    Conley, Hansen and Rossi (2012), "Plausibly exogenous", Review of Economics and Statistics 94, sections 3.1 and 3.3.
    """
    data = design.data
    d, q = data.d, data.q
    sizes = np.broadcast_to(np.atleast_1d(np.asarray(direct, dtype=float)), (q,)) if np.size(direct) in (1, q) else None
    if sizes is None or not np.isfinite(sizes).all() or (sizes < 0).any():
        raise CausalArgumentError(
            f"direct must be one number of 0 or more, or one for each of the {q} instruments; got {direct!r}"
        )
    if method == "union" and q > _MOST_CORNERS:
        raise CausalArgumentError(f"the union is searched for up to {_MOST_CORNERS} instruments; use method='local'")
    gamma = sizes * data.scale_z / data.scale_y  # as the columns are scaled
    A = np.linalg.inv(data.projected[1:, 1:])
    pull = A @ data.zw[:, 1:].T  # of the estimate towards gamma
    own = A @ data.first_stage.T
    every = np.column_stack([data.outcome_and_treatments, *(data.combination(Z=v) for v in np.eye(q))])
    scores = None if design.is_homoskedastic else data.score_covariances(every, design.clusters)
    moments = every.T @ data.S @ every
    beta = np.asarray(effect.estimates, dtype=float) / data.unit
    df = float(np.min(np.asarray(effect.uncertainty.df())))
    critical = float(effect.reference.critical(level, np.array([df]))[0])

    def std_errors(shift: Floats) -> Floats:
        c = np.r_[1.0, -(beta - pull @ shift), -shift]
        if scores is None:
            variance = float(c @ moments @ c) / data.n * A
        else:
            variance = own @ np.einsum("j,jkab,k->ab", c, scores, c) @ own.T
        return np.sqrt(np.maximum(np.diag(variance), 0.0))

    # the small-sample factor of the fit
    factor = np.asarray(effect.uncertainty.std_error(), dtype=float) / data.unit / std_errors(np.zeros(q))
    rows = []
    low, high = np.full(d, np.inf), np.full(d, -np.inf)
    corners = np.array(list(product((-1.0, 0.0, 1.0), repeat=q))) if method == "union" else np.zeros((1, q))
    for share in np.linspace(0, 1, _STRENGTHS):
        for corner in corners:
            shift = share * gamma * corner
            se = std_errors(shift) * factor
            if method == "local":
                se = np.sqrt(se**2 + np.square(pull * (share * gamma)).sum(axis=1))
            centre = beta - pull @ shift
            low, high = np.minimum(low, centre - critical * se), np.maximum(high, centre + critical * se)
        for j, name in enumerate(design.treatment_names):
            rows.append((name, share, low[j] * data.unit[j], high[j] * data.unit[j]))
    table = pd.DataFrame(rows, columns=["treatment", "share", "conf_low", "conf_high"])
    table["direct"] = table["share"] * (float(sizes[0]) if q == 1 or np.ptp(sizes) == 0 else 1.0)
    table = table.set_index(["treatment", "share"]).sort_index(kind="stable")
    words, kept = [], []
    for name in design.treatment_names:
        part = table.loc[name]
        holds = ((part["conf_low"] <= 0) & (part["conf_high"] >= 0)).to_numpy()
        kept.append(not (holds.any() and not holds[0]))
        if holds[0]:
            words.append(f"the interval of {name} holds 0 even under exclusion")
        elif holds.any():
            words.append(
                f"the interval of {name} reaches 0 at a direct effect of {part['direct'].iloc[holds.argmax()]:.4g}"
            )
        else:
            words.append(f"the interval of {name} leaves 0 out up to a direct effect of {part['direct'].iloc[-1]:.4g}")
    return Check(all(kept), table, "; ".join(words))


def validity_check(y: Floats, d: Codes, z: Codes, outcome: str, n_draws: int, random_state: int | None) -> Check:
    """Kitagawa's (2015) test that exclusion, independence and monotonicity can hold together, without covariates.

    Parameters
    ----------
    y : ndarray (n,)
    d, z : ndarray (n,) of 0 and 1
    outcome : str
        Its name.
    n_draws : int
    random_state : int or None
    """
    raises = d[z == 1].mean() >= d[z == 0].mean()
    moved = z if raises else 1 - z
    rng = np.random.default_rng(random_state)
    found = kitagawa_test(y, d.astype(np.intp), moved.astype(np.intp), n_draws=n_draws, rng=rng)
    table = pd.DataFrame([found._asdict()], index=pd.Index(["Kitagawa"], name="test"))
    who = "treated" if found.treated else "untreated"
    words = (
        "no violation beyond noise"
        if found.p_value >= 0.05
        else f"the assumptions are contradicted by the {who} with {outcome} in [{found.low:.4g}, {found.high:.4g}]"
    )
    return Check(bool(found.p_value >= 0.05), table, f"{words}; T {found.statistic:.2f}, p {found.p_value:.3f}")


def bounds_check(y: Floats, d: Codes, z: Codes, w: Floats | None) -> Check:
    """Sharp bounds of the average effect in everyone, without covariates or monotonicity (Balke and Pearl 1997).

    Parameters
    ----------
    y, d, z : ndarray (n,) of 0 and 1
        Outcome, treatment and instrument.
    w : ndarray (n,) or None
    """
    p = np.zeros((2, 2, 2))
    np.add.at(p, (y.astype(np.intp), d, z), 1.0 if w is None else w)
    p /= p.sum(axis=(0, 1))
    low, high = balke_pearl_bounds(p)
    table = pd.DataFrame({"low": [low], "high": [high]}, index=pd.Index(["average effect"], name="estimand"))
    if low > high:
        return Check(False, table, "the data contradict exclusion and independence: the bounds cross")
    return Check(None, table, f"average effect in everyone between {low:.3f} and {high:.3f}, without covariates")
