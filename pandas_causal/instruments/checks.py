"""Checks of linear models with instruments: strength, overidentification, exogeneity, pictures. Computed when read."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from pandas_causal.effect.check import Check
from pandas_causal.errors import CausalError
from pandas_causal.inference.influence import Influence
from pandas_causal.inference.weak_instruments import STOCK_YOGO_BIAS, STOCK_YOGO_SIZE, is_indefinite, tf_critical
from pandas_causal.instruments.design import Design
from pandas_causal.instruments.k_class import Fit, k_class, two_step
from pandas_causal.instruments.overidentification import basmann, hansen_j, sargan, score_test, wu_hausman
from pandas_causal.instruments.weak_instruments import RobustSets
from pandas_causal.kernels.arrays import Floats

__all__ = ["instrument_checks"]

_BINS = 20
_NO_COVARIANCE = "clustered by several ways there is no covariance (it has negative variances); cluster one way"


def instrument_checks(
    design: Design, fit: Fit, robust: RobustSets, level: float, uncertainty: Influence
) -> dict[str, Any]:
    """Checks by name, as functions: whoever does not read one does not pay for it."""
    one = design.data.d == 1
    checks: dict[str, Any] = {"first_stage": partial(first_stages, design)}
    if one:
        checks["effective_f"] = partial(effective_f_check, design)
    if not design.has_few_clusters:
        checks["weak_sets"] = partial(weak_sets, robust, level)
    if design.data.q > design.data.d:
        checks["overidentification"] = partial(overidentification, design)
    checks["exogeneity"] = partial(exogeneity, design)
    checks["reduced_form"] = partial(reduced_form, design)
    checks["cragg_donald"] = partial(cragg_donald, design)
    if not design.has_few_clusters:
        checks["kleibergen_paap"] = partial(kleibergen_paap, design)
    if one and design.data.q == 1 and round(level, 10) in (0.95, 0.99):
        checks["tf"] = partial(tf_adjusted, design, fit, level, float(np.asarray(uncertainty.std_error())[0]))
    if not design.has_few_clusters:
        checks["anderson_rubin"] = partial(anderson_rubin_check, robust, level)
    if one:
        checks["first_stage_bins"] = partial(binned, design, design.treatment_names[0], 1)
        checks["reduced_form_bins"] = partial(binned, design, design.outcome_name, 0)
    return checks


def _wald(coefficients: Floats, zz: Floats, scores: Floats) -> float:
    """Wald statistic of coefficients (q,) whose moments have the covariance `scores`; NaN where that is indefinite."""
    if is_indefinite(scores):
        return np.nan
    g = zz @ coefficients
    return float(g @ np.linalg.solve(scores, g))


def _df2(design: Design) -> float:
    """Denominator degrees of freedom of a robust F: of clusters, one less than there are."""
    if design.clusters:
        return float(min(int(c.max()) + 1 for c in design.clusters) - 1)
    return float(design.data.df)


def first_stages(design: Design) -> Check:
    """F of the instruments in every first stage, plain and robust (HC1, CR1), partial and Shea's R2.

    Shea's R2 (1997, Review of Economics and Statistics; computed as Godfrey 1999 does) is of the part of a treatment
    that instruments move apart from the other treatments.
    """
    from scipy import special

    data = design.data
    Pi, df2 = data.first_stage, _df2(design)
    DD, PP = data.ww[1:, 1:], data.projected[1:, 1:]
    ols, iv = np.diag(np.linalg.inv(DD)), np.diag(np.linalg.inv(PP))
    rows = []
    for j in range(data.d):
        F = PP[j, j] / data.q / ((DD[j, j] - PP[j, j]) / data.df)
        scores = design.first_stage_scores[j, j]
        factor = 1.0 if design.is_homoskedastic else design.factor
        robust = np.nan if design.has_few_clusters else _wald(Pi[:, j], data.zz, scores) / data.q / factor
        rows.append(
            (F, float(special.fdtrc(data.q, data.df, F)), robust, float(special.fdtrc(data.q, df2, robust)),
             PP[j, j] / DD[j, j], ols[j] / iv[j], data.q, data.df)
        )  # fmt: skip
    columns = ["F", "p_value", "robust_F", "robust_p_value", "partial_r2", "shea_r2", "df", "df_residual"]
    table = pd.DataFrame(rows, columns=columns, index=pd.Index(design.treatment_names, name="treatment"))
    known = bool(table["robust_F"].notna().all())
    least = table["robust_F" if known else "F"].min()
    kind = "F" if design.is_homoskedastic else ("clustered F" if design.clusters else "robust F")
    kind = kind if known else "the clusters are too few for a clustered F; plain F"
    return Check(None, table, f"{kind} {least:.2f}, partial R2 {table['partial_r2'].min():.4f}"
                 + ("" if data.d == 1 else " (the smallest of the treatments)"))  # fmt: skip


def effective_f_check(design: Design) -> Check:
    """Effective F and its critical values (Montiel Olea and Pflueger 2013); with the HC1 or CR1 factor in a column."""
    found = design.effective_f
    factor = 1.0 if design.is_homoskedastic else design.factor
    table = pd.DataFrame(
        {
            "effective_F": found.statistic,
            "small_sample_F": found.statistic / factor,
            "critical": list(found.critical.values()),
            "effective_df": list(found.df.values()),
        },
        index=pd.Index(list(found.critical), name="share of worst-case bias"),
    )
    if np.isnan(found.statistic):
        return Check(None, table, _NO_COVARIANCE)
    table["above"] = table["effective_F"] >= table["critical"]
    critical = found.critical[0.10]
    passed = found.statistic >= critical
    return Check(
        bool(passed), table, f"effective F {found.statistic:.2f}, critical value {critical:.2f} for a bias of 10%"
    )


def cragg_donald(design: Design) -> Check:
    """Cragg and Donald's (1993) smallest root, as an F, with Stock and Yogo's (2005) critical values where tabled."""
    data, statistic = design.data, design.cragg_donald_f
    rows: list[tuple[str, float, float]] = []
    for kind, shares, known in (
        ("relative bias", (0.05, 0.10, 0.20, 0.30), STOCK_YOGO_BIAS),
        ("size of a 5% test", (0.10, 0.15, 0.20, 0.25), STOCK_YOGO_SIZE),
    ):
        values = known.get((data.d, data.q), ())
        rows += [(kind, share, value) for share, value in zip(shares, values, strict=bool(values))]
    table = pd.DataFrame(rows, columns=["kind", "at most", "critical"])
    table.insert(0, "cragg_donald_F", statistic)
    if not rows:
        table = pd.DataFrame({"cragg_donald_F": [statistic]})
    size = STOCK_YOGO_SIZE.get((data.d, data.q))
    words = "no table for so many instruments"
    if size is not None:
        words = f"Stock-Yogo {size[0]:.2f} for a size of 10% (of 2SLS)"
    return Check(
        None if size is None else bool(statistic >= size[0]), table, f"Cragg-Donald F {statistic:.2f}, {words}"
    )


def kleibergen_paap(design: Design) -> Check:
    """Robust test that the instruments move the treatments separately: the rank of the first stage is below full."""
    from scipy import special

    d, q, statistic = design.data.d, design.data.q, design.rank_statistic
    df = q - d + 1
    factor = 1.0 if design.is_homoskedastic else design.factor
    p = float(special.chdtrc(df, statistic))
    table = pd.DataFrame(
        {"statistic": [statistic], "df": [df], "p_value": [p], "F": [statistic / q / factor]},
        index=pd.Index(["rk Wald"], name="test"),
    )
    if np.isnan(statistic):
        return Check(None, table, _NO_COVARIANCE)
    return Check(bool(p < 0.05), table, f"rk Wald F {statistic / q / factor:.2f}, rank below {d}: p {p:.3g}")


def overidentification(design: Design) -> Check:
    """Do the instruments agree? Sargan, Basmann, Wooldridge's robust score test and Hansen's J."""
    data = design.data
    fit = k_class(data, 1.0)
    rows = [
        ("Sargan", *sargan(data, fit)),
        ("Basmann", *basmann(data, fit)),
        ("robust score (Wooldridge)", *score_test(data, fit)),
    ]
    with suppress(CausalError):  # without noise there are no weights
        if not design.has_few_clusters:
            rows.append(("Hansen J", *hansen_j(data, two_step(data, design.clusters), design.moment_scores, fit)))
    table = pd.DataFrame(rows, columns=["test", "statistic", "df", "p_value"]).set_index("test")
    used = "Hansen J" if "Hansen J" in table.index and not design.is_homoskedastic else "Sargan"
    p = float(table.loc[used, "p_value"])  # type: ignore[arg-type]
    statistic = float(table.loc[used, "statistic"])  # type: ignore[arg-type]
    words = "agree" if p >= 0.05 else "disagree"
    return Check(bool(p >= 0.05), table, f"the instruments {words}: {used} {statistic:.3f}, p {p:.3f}")


def exogeneity(design: Design) -> Check:
    """Does the treatment need instruments? Wu and Hausman's F of first-stage residuals in the outcome's equation."""
    F, df1, df2, p, ols = wu_hausman(design.data)
    table = pd.DataFrame(
        {"statistic": [F], "df": [df1], "df_residual": [df2], "p_value": [p]},
        index=pd.Index(["Wu-Hausman"], name="test"),
    )
    for name, value in zip(design.treatment_names, ols, strict=True):
        table[f"least_squares | {name}"] = value
    same = "differ from" if p < 0.05 else "do not differ from"
    return Check(None, table, f"instruments {same} least squares: Wu-Hausman F {F:.3f}, p {p:.3f}")


def reduced_form(design: Design) -> Check:
    """Outcome, and every treatment, on instruments and covariates: coefficients with errors of the fit (HC1, CR1)."""
    data = design.data
    inverse = np.linalg.inv(data.zz)
    rows = []
    for column, name in enumerate((design.outcome_name, *design.treatment_names)):
        coefficient = inverse @ data.zw[:, column]
        C = data.outcome_and_treatments[:, column] - data.combination(Z=coefficient)
        if design.is_homoskedastic:
            variance = inverse * (data.ww - data.projected)[column, column] / data.df
        else:
            variance = inverse @ data.score_covariances(C[:, None], design.clusters)[0, 0] @ inverse * design.factor
        scale = (data.scale_y if column == 0 else float(data.scale_d[column - 1])) / data.scale_z
        se = np.sqrt(np.where(np.diag(variance) >= 0, np.diag(variance), np.nan)) * scale
        rows += [
            (name, z, b, s, b / s) for z, b, s in zip(design.used_instruments, coefficient * scale, se, strict=True)
        ]
    table = pd.DataFrame(rows, columns=["of", "instrument", "estimate", "std_error", "statistic"])
    table = table.set_index(["of", "instrument"])
    g = data.zw[:, 0]
    V = design.null_scores[0, 0]
    from scipy import special

    if table["std_error"].isna().any() or is_indefinite(V):
        return Check(None, table, _NO_COVARIANCE)
    if design.has_few_clusters:
        return Check(None, table, "instruments and outcome, one coefficient at a time")
    statistic = float(g @ np.linalg.solve(V, g))
    p = float(special.chdtrc(data.q, statistic))
    return Check(None, table, f"instruments and outcome: chi-squared {statistic:.2f} on {data.q}, p {p:.3g}")


def tf_adjusted(design: Design, fit: Fit, level: float, std_error: float) -> Check:
    """Standard error for one instrument that makes the usual interval hold (Lee, McCrary, Moreira and Porter 2022)."""
    from scipy import special

    F = _wald(design.data.first_stage[:, 0], design.data.zz, design.first_stage_scores[0, 0])
    critical = np.nan if np.isnan(F) else tf_critical(F, level)
    z = float(special.ndtri(0.5 + level / 2))
    adjusted = std_error * critical / z
    beta = float(fit.beta[0])
    half = critical * std_error
    table = pd.DataFrame(
        {
            "F": [F],
            "critical": [critical],
            "std_error": [adjusted],
            "conf_low": [beta - half],
            "conf_high": [beta + half],
        },
        index=pd.Index(["tF"], name="method"),
    )
    if np.isnan(critical):
        return Check(None, table, _NO_COVARIANCE)
    if not np.isfinite(critical):
        return Check(False, table, f"F {F:.2f} is too small for any interval around the estimate")
    return Check(None, table, f"tF-adjusted standard error {adjusted:.4g} ({critical / z:.2f} times), F {F:.1f}")


def weak_sets(robust: RobustSets, level: float) -> Check:
    """Confidence sets of all three tests, piece by piece."""
    tests = ("ar", "k", "clr") if len(robust.index) == 1 else ("ar",)
    parts = {}
    for test in tests:
        with suppress(CausalError):  # several ways of clusters leave no covariance
            parts[test] = robust.pieces(level, test)
    if "ar" not in parts:
        return Check(None, pd.DataFrame(columns=["conf_low", "conf_high"], dtype=float), _NO_COVARIANCE)
    table = pd.concat(parts, names=["test"])
    first = parts["ar"]
    shown = []
    for name in robust.index:
        pieces = first.loc[[name]].to_numpy() if name in first.index else first.to_numpy()[:0]
        words = " and ".join(f"[{a:.4g}, {b:.4g}]" for a, b in pieces[:4])
        shown.append((f"{name} " if len(robust.index) > 1 else "") + (words or "empty: no coefficient is accepted"))
    words = "Anderson-Rubin" if len(robust.index) == 1 else "Anderson-Rubin, projected"
    return Check(None, table, f"{words} {100 * level:g}% set: {'; '.join(shown[:4])}")


def anderson_rubin_check(robust: RobustSets, level: float) -> Check:
    """P-values of the tests over coefficients: what the picture draws."""
    try:
        table, zero = robust.curve(level), robust.p_value(0.0, 0, "ar")
    except CausalError:
        return Check(None, pd.DataFrame({"coefficient": [], "ar": []}, dtype=float), _NO_COVARIANCE)
    return Check(None, table, f"Anderson-Rubin p-value of no effect {zero:.3g}")


def binned(design: Design, name: str, column: int) -> Check:
    """Means of outcome or treatment by bins of the instrument, both less their covariates, their means added back.

    Several instruments are combined as the first stage does.
    """
    data, raw = design.data, design.raw_instrument
    single = data.q == 1
    weights = np.ones(1) if single else data.first_stage[:, 0]
    C = np.column_stack([data.combination(Z=weights), data.outcome_and_treatments[:, column]])
    values = data.mapped(C)
    unit_z = float(data.scale_z[0]) if single else float(data.scale_d[0])
    unit = data.scale_y if column == 0 else float(data.scale_d[column - 1])
    centre = float(np.average(raw, weights=data.w)) if raw is not None else float(design.means[1])
    z, v = values[:, 0] * unit_z + centre, values[:, 1] * unit + float(design.means[column])
    if raw is not None and len(np.unique(raw)) <= _BINS:
        codes = np.unique(raw, return_inverse=True)[1].ravel()
    else:
        codes = np.searchsorted(np.quantile(z, np.linspace(0, 1, _BINS + 1)[1:-1]), z, side="right")
    w = np.ones(data.n) if data.w is None else data.w
    n, total = np.bincount(codes), np.bincount(codes, w)
    used = (n > 0) & (total > 0)
    mean_z, mean, square = (np.bincount(codes, w * a)[used] / total[used] for a in (z, v, v * v))
    slope = float(weights @ data.zw[:, column] / (weights @ data.zz @ weights)) * unit / unit_z
    se = np.sqrt(np.maximum(square - mean**2, 0) / np.maximum(n[used] - 1, 1))
    fit = float(design.means[column]) + slope * (mean_z - centre)
    table = pd.DataFrame({"instrument": mean_z, "mean": mean, "std_error": se, "n": n[used], "fit": fit})
    by = design.used_instruments[0] if single else "the instruments, combined by the first stage"
    return Check(None, table, f"{name} by {by}: slope {slope:.4g}")
