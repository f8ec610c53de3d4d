"""Effects before treatment, where there should be none: a joint test of parallel trends in the periods before."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from pandas_causal.difference_in_differences.event_study import EventStudy, read_event_study
from pandas_causal.effect.check import Check
from pandas_causal.effect.effect import Effect
from pandas_causal.effect.estimates import Estimates
from pandas_causal.errors import CausalArgumentError, CausalDataError, CausalError, CausalWarning
from pandas_causal.inference.bands import JointTest, joint_test
from pandas_causal.inference.influence import Influence
from pandas_causal.inference.reference import Student
from pandas_causal.kernels.arrays import Bools, Floats
from pandas_causal.models.linear import independent_columns

__all__ = ["pre_trend_power", "pre_trends", "trend_checks"]

_LEVEL = 0.05
_UNITS_PER_ROW = 10  # fewer units or clusters than that for every effect: its joint law is poorly known
_CELLS, _EVENTS = "cohorts and periods", "event times"
_LOG_DRAWS = 16  # base-2 logarithm of the number of quasi-random draws


def trend_checks(
    effect: Effect, anticipation: int = 0, cells: Callable[[], Estimates] | None = None
) -> dict[str, Callable[[], Check]]:
    """Checks of the periods before treatment, computed when read; the test's power where one reference period allows.

    Parameters
    ----------
    effect, anticipation, cells
        See :func:`pre_trends`.
    """
    checks: dict[str, Callable[[], Check]] = {"pre_trends": partial(pre_trends, effect, anticipation, cells)}
    return checks if effect.reference_rows is None else {**checks, "pre_trend_power": partial(_power, effect)}


def _power(effect: Effect) -> Check:
    try:
        return pre_trend_power(_by_event(effect))
    except CausalError as error:
        return Check(None, effect.table.iloc[:0], f"power cannot be computed: {error}")


def _by_event(effect: Effect) -> Effect:
    """Rows by event time; what is weak about them was said when the effect was estimated."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CausalWarning)
        return effect.aggregate("event") if "event" in effect.weightings else effect


def pre_trends(effect: Effect, anticipation: int = 0, cells: Callable[[], Estimates] | None = None) -> Check:
    """Test that all effects before treatment (and anticipation) are zero at once.

    Every cohort's effect in every period before treatment is tested: averages by event time would hide trends of
    cohorts that cancel. Where these cells are more than a tenth of the units (or clusters), their joint law is poorly
    known and the test of the averages by event time is the verdict.

    Parameters
    ----------
    effect : Effect
        One row per cohort and period with a weighting "event", or one row per event time.
    anticipation : int
        Periods before treatment in which effects may be.
    cells : callable, optional
        Returns the effects by cohort and period before treatment, where `effect` has them by event time only.

    Returns
    -------
    Check
        The table holds both tests, the one that decides marked. A test that does not reject is no proof of parallel
        trends: its power is that of the periods at hand.

    References
    ----------
    Callaway and Sant'Anna (2021), on testing all group-time effects before treatment; Roth (2022), "Pretest
    with caution", American Economic Review: Insights, on what passing the test does not show.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CausalWarning)
        events = _tested(_by_event(effect).rows, anticipation)
        of_cells = cells() if cells is not None else effect.rows if "event" in effect.weightings else None
        each = None if of_cells is None else _tested(of_cells, anticipation)
    return _verdict(each, events)


class _Tested(NamedTuple):
    """Joint test of the rows before treatment.

    Attributes
    ----------
    rows : int
        Rows before treatment, reference rows apart.
    n_units : float
        Independent units or clusters.
    kind : str
        "units" or "clusters".
    test : JointTest or None
    problem : str
        Why there is no test.
    """

    rows: int
    n_units: float
    kind: str
    test: JointTest | None
    problem: str = ""

    @property
    def crowded(self) -> bool:
        """Whether the rows are too many for the units: their joint law is then poorly known."""
        return self.test is not None and self.test.df_num > self.n_units / _UNITS_PER_ROW

    @property
    def words(self) -> str:
        """The law, the statistic and the p-value."""
        if self.test is None:
            return f"cannot be tested: {self.problem}"
        test = self.test
        law = f"chi2({test.df_num})" if np.isinf(test.df_denom) else f"F({test.df_num}, {test.df_denom:g})"
        return f"{law} = {test.statistic:.2f}, {_p_in_words(test)}"


def _p_in_words(test: JointTest) -> str:
    return "p < 0.001" if test.p_value < 0.001 else f"p = {test.p_value:.3f}"


def _tested(rows: Estimates, anticipation: int) -> _Tested:
    labels = rows.index.get_level_values("event") if rows.index.nlevels > 1 else rows.index
    before = np.array([int(e) for e in labels]) < -anticipation
    if rows.reference_rows is not None:
        before &= ~rows.reference_rows
    u = rows.uncertainty
    n_units = len(u.rows) if isinstance(u, Influence) and u.rows is not None else np.inf
    n_units = float(min(n_units, u.df().min(initial=np.inf) + 1))
    kind = "clusters" if isinstance(u, Influence) and u.clustering is not None else "units"
    with np.errstate(invalid="ignore"):
        known = np.flatnonzero(before & np.isfinite(rows.std_errors) & (rows.std_errors > 0))
    n = int(before.sum())
    if not len(known):
        return _Tested(n, n_units, kind, None, "no effect before treatment has a standard error")
    try:
        part = _determined(rows.take(known))
        return _Tested(n, n_units, kind, joint_test(part.uncertainty, part.centre, n_units))
    except CausalDataError as error:
        return _Tested(n, n_units, kind, None, str(error))


def _determined(rows: Estimates) -> Estimates:
    """Without rows that others imply: two cohorts that are each other's comparison say everything twice."""
    covariance = rows.uncertainty.covariance(joint=True)
    scale = np.sqrt(np.diag(covariance))
    correlation, z = covariance / np.outer(scale, scale), rows.centre / scale
    kept = independent_columns(correlation)
    rest = np.setdiff1d(np.arange(len(rows)), kept)
    if not len(rest):
        return rows
    implied = correlation[np.ix_(rest, kept)] @ np.linalg.solve(correlation[np.ix_(kept, kept)], z[kept])
    return rows.take(kept) if np.allclose(implied, z[rest], rtol=1e-4, atol=1e-4) else rows


def _verdict(cells: _Tested | None, events: _Tested) -> Check:
    """Both tests in a table, and the one that decides."""
    both = {_CELLS: cells, _EVENTS: events} if cells is not None else {_EVENTS: events}
    name = _CELLS if cells is not None and cells.test is not None and not cells.crowded else _EVENTS
    table = pd.DataFrame(
        [_as_row(tested, decides=key == name) for key, tested in both.items()], index=pd.Index(both, name="test")
    )
    if not events.rows and (cells is None or not cells.rows):
        return Check(None, table.iloc[:0], "there is no period before treatment to test, besides the base period")
    chosen = both[name]
    assert chosen is not None  # noqa: S101 - named among both
    kind = "cell" if name == _CELLS else "event time"
    said = f"{chosen.rows} {kind}{'s' if chosen.rows != 1 else ''}"
    text = f"{said} before treatment, jointly zero: {chosen.words}"
    if name == _CELLS and events.test is not None:
        text += f"; by event {_p_in_words(events.test)}"
    elif cells is not None and cells.test is not None:
        text = (
            f"{cells.rows} cells are too many for {cells.n_units:g} {cells.kind}; {said}, jointly zero: {chosen.words}"
        )
    elif cells is not None and chosen.test is not None:
        text += f"; {cells.rows} cells {cells.words}"
    return Check(None if chosen.test is None else bool(chosen.test.p_value >= _LEVEL), table, text)


def _as_row(tested: _Tested | None, *, decides: bool) -> dict[str, Any]:
    test = None if tested is None else tested.test
    statistic, df_num, df_denom, p = (np.nan,) * 4 if test is None else test
    n = 0 if tested is None else tested.rows
    return {
        "effects": n, "statistic": statistic, "df_num": df_num, "df_denom": df_denom, "p_value": p, "decides": decides
    }  # fmt: skip


def pre_trend_power(
    effect: Effect,
    *,
    powers: Sequence[float] = (0.5, 0.8),
    slopes: Sequence[float] | None = None,
    target: Any = None,
    level: float = 0.95,
) -> Check:
    """Linear violations of parallel trends that a test of pre-trends finds with given power, and what they would do.

    Two tests: "any" rejects when any period before treatment differs from the reference period at `level` (what a
    reader of an event-study plot does), "joint" is the Wald test of all of them.

    Parameters
    ----------
    effect : Effect
        Event study with one reference period.
    powers : sequence of float in (0, 1)
        The slope that "any" finds with each power is looked for.
    slopes : sequence of float, optional
        In units of the outcome per period; given these, `powers` is not used.
    target : int, "average" or mapping, optional
        Effect whose bias is reported; the first period after treatment by default.
    level : float
        Of the tests.

    Returns
    -------
    Check
        ``table`` has a row per slope: power_any, power_joint, ``bias`` of the target if the trend went on, and
        ``bias_if_passed``, its expectation among samples in which "any" found nothing. ``passed`` is None.

    Raises
    ------
    CausalArgumentError
        For a wrong setting.

    References
    ----------
    Roth (2022), "Pretest with caution", American Economic Review: Insights, section I and Proposition 1.
    """
    study = read_event_study(effect, target)
    for name, values in (("powers", powers), ("slopes", slopes), ("level", [level])):
        numbers = np.asarray([] if values is None else values, dtype=float)
        if not np.isfinite(numbers).all() or (name != "slopes" and not ((numbers > 0) & (numbers < 1)).all()):
            raise CausalArgumentError(f"{name}={values!r}: give numbers" + (" in (0, 1)" if name != "slopes" else ""))
    deviations = _deviations(study)
    if slopes is None:
        slopes = [slope_for_power(study, deviations, power, level) for power in powers]
    rows = [_row(study, deviations, float(slope), level) for slope in slopes]
    columns = ["slope", "power_any", "power_joint", "bias", "bias_if_passed"]
    table = pd.DataFrame(rows, columns=columns).set_index("slope")
    slope, first = float(table.index[0]), table.iloc[0]
    missed = 1 - float(first["power_any"])
    said = f"a trend of {slope:.3g} per period (bias {first['bias']:.3g}, estimate {study.estimate:.3g})"
    return Check(None, table, f"{said} goes unnoticed in {missed:.0%} of samples")


def slope_for_power(study: EventStudy, deviations: Floats, power: float, level: float) -> float:
    """Positive slope of a linear trend that "any" finds with this power (Roth 2022, section I.C)."""
    rejected_without = 1 - _passes(study, deviations, 0.0, level).mean()
    if rejected_without >= power:
        return 0.0
    low, high = 0.0, float(np.sqrt(np.diag(study.covariance)[: study.n_pre].max()))
    while 1 - _passes(study, deviations, high, level).mean() < power:
        low, high = high, 2 * high
    for _ in range(50):
        middle = (low + high) / 2
        enough = 1 - _passes(study, deviations, middle, level).mean() >= power
        low, high = (low, middle) if enough else (middle, high)
    return high


def _deviations(study: EventStudy) -> Floats:
    """Quasi-random deviations (draws, p) of the estimates from their expectation."""
    from scipy.special import ndtri
    from scipy.stats import qmc

    p = len(study.beta)
    uniform = qmc.Sobol(p, scramble=True, seed=0).random_base2(_LOG_DRAWS)
    return ndtri(np.clip(uniform, 1e-12, 1 - 1e-12)) @ study.root.T


def _trend(study: EventStudy, slope: float) -> Floats:
    distance = np.r_[np.arange(-study.n_pre, 0), np.arange(1, study.n_post + 1)]
    trend: Floats = slope * distance
    return trend


def _passes(study: EventStudy, deviations: Floats, slope: float, level: float) -> Bools:
    """Whether every period before treatment is insignificant, draw by draw."""
    pre = slice(0, study.n_pre)
    critical = float(Student().critical(level, np.array([study.df]))[0])
    widths = critical * np.sqrt(np.diag(study.covariance)[pre])
    inside = np.abs(deviations[:, pre] + _trend(study, slope)[pre]) <= widths
    return np.asarray(inside.all(axis=1))


def _row(study: EventStudy, deviations: Floats, slope: float, level: float) -> tuple[float, ...]:
    from scipy.stats import chi2, ncx2

    pre = slice(0, study.n_pre)
    trend = _trend(study, slope)
    passed = _passes(study, deviations, slope, level)
    shift = float(trend[pre] @ np.linalg.solve(study.covariance[pre, pre], trend[pre]))
    joint = float(ncx2.sf(chi2.ppf(level, study.n_pre), study.n_pre, shift))
    bias = float(study.target @ trend[study.n_pre :])
    moved = deviations[passed][:, study.n_pre :] @ study.target
    return slope, float(1 - passed.mean()), joint, bias, bias + float(moved.mean()) if passed.any() else np.nan
