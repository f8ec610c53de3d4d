"""The periods of a panel: numbers, dates, pandas periods or labels as positions 0, 1, ... without gaps."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pandas as pd

from pandas_causal.errors import CausalArgumentError, CausalDataError, Problem
from pandas_causal.inputs.arms import plain
from pandas_causal.inputs.column_rules import as_float, is_numeric
from pandas_causal.inputs.plain_columns import plain_column
from pandas_causal.kernels.arrays import Bools, Floats, Ints

__all__ = ["NEVER", "Periods", "read_axis"]

NEVER = int(np.iinfo(np.int32).max)
"""Cohort of a unit that is never treated: later than any period."""

_FREQUENCIES = ("Y", "Q", "M", "W", "D", "h", "min", "s")
_UNMATCHED = -1 - NEVER
_DATED = (date, pd.Period, np.datetime64)


@dataclass(frozen=True, eq=False)
class Periods:
    """Distinct periods in order.

    Attributes
    ----------
    labels : Index (T,)
        Labels as given, in order.
    kind : {"numbers", "dates", "periods", "labels"}
    origin, step : float
        Ordinal of the first period and distance of neighbours, where they can be counted.
    frequency : str or None
        How dates are counted ("Y", "Q", "M", ...).
    name : str
    ordered : bool
        Whether labels are categories whose order was given.
    """

    labels: pd.Index
    kind: str
    origin: float
    step: float
    frequency: str | None
    name: str
    ordered: bool = False

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def alphabetical(self) -> bool:
        """Whether the order is that of words in the alphabet, which need not be that of time."""
        return self.kind == "labels" and not self.ordered and not any(re.search(r"\d", str(v)) for v in self.labels)

    def positions(self, values: pd.Series[Any]) -> Ints:
        """Positions of first treated periods; NEVER for missing and infinite values (and 0 where that is no period).

        Positions below 0 and from T on are periods before and after those seen.

        Raises
        ------
        CausalDataError
            Values of another kind than the periods, or between two of them.
        """
        values = _plain_dtype(values)
        codes, uniques = pd.factorize(values, use_na_sentinel=True)
        of_unique = self._positions(pd.Series(uniques, name=values.name))
        bad = of_unique == _UNMATCHED
        if bad.any():
            counts = np.bincount(codes[codes >= 0], minlength=len(of_unique))
            first = plain(uniques[int(np.flatnonzero(bad)[0])])
            shown = _text(first) if isinstance(first, _DATED) else repr(first)
            raise CausalDataError(
                [
                    Problem(
                        str(values.name),
                        f"holds {shown}, which is no period of {self.name} ({self._range()})",
                        int(counts[bad].sum()),
                        f"give the period of first treatment, coded as the time is{self._remedy(first)}; never treated"
                        " is NaN, 0 or inf",
                    )
                ]
            )
        out = np.full(len(codes), NEVER, dtype=np.int64)
        known = codes >= 0
        out[known] = of_unique[codes[known]]
        return out

    def position(self, value: object) -> int:
        """Position of one period; see :meth:`positions`.

        Raises
        ------
        CausalArgumentError
            For what is no period.
        """
        given = value
        if self.kind in ("dates", "periods") and isinstance(value, str | date):
            try:  # text names as much time as it says: "2003" a year, "2003-05" a month
                value = pd.Period(value) if isinstance(value, str) else pd.Timestamp(value)
            except ValueError:
                raise CausalArgumentError(f"{value!r} is no date; {self.name} runs from {self._range()}") from None
        values = _plain_dtype(plain_column(pd.Series([value])))
        if values.isna()[0]:
            at = _UNMATCHED
        elif self.kind == "numbers" and is_numeric(values):  # 0 is a period like others here
            at = int(self._counted(as_float(values))[0])
        else:
            at = int(self._positions(values)[0])
        if at in (_UNMATCHED, NEVER):
            raise CausalArgumentError(
                f"{given!r} is no period of {self.name} ({self._range()}); give one of its periods, coded as they are"
                f"{self._remedy(plain(values[0]))}"
            )
        return at

    def _remedy(self, value: Any) -> str:
        """The period that a date lies in, where it lies inside one."""
        if self.kind not in ("dates", "periods") or not isinstance(value, _DATED):
            return ""
        at = (_ordinals(pd.Series([value]), self.frequency)[0] - self.origin) / self.step
        if not (np.isfinite(at) and at == np.round(at) and 0 <= at < len(self)):
            return ""
        later = f" or {_text(self.labels[int(at) + 1])}, the next" if at + 1 < len(self) else ""
        return f" ({_text(self.labels[int(at)])}, the period it lies in{later})"

    def _range(self) -> str:
        return f"{_text(self.labels[0])} to {_text(self.labels[-1])}"

    def _positions(self, uniques: pd.Series[Any]) -> Ints:
        out = np.full(len(uniques), _UNMATCHED, dtype=np.int64)
        if is_numeric(uniques):
            values = as_float(uniques)
            never = np.isinf(values) | np.isnan(values)
            if self.kind != "numbers" or (self.origin >= 0 and not bool((self.labels == 0).any())):
                never |= values == 0
            elif self.origin == 0 and bool((values == 0).any()):
                raise CausalDataError(
                    f"{uniques.name}: 0 may mean never treated or treated from period 0 of {self.name}, its first; code"
                    " never treated as NaN or inf, or shift the time"
                )
            out[never] = NEVER
            if self.kind == "numbers":
                out[~never] = self._counted(values[~never])
            return out
        if self.kind in ("dates", "periods") and _is_time(uniques):
            at = self._counted(_ordinals(uniques, self.frequency))
            return np.where(self._coded_alike(uniques, at), at, _UNMATCHED)
        if self.kind == "labels":
            at = self.labels.astype(object).get_indexer(pd.Index(uniques.astype(object)))
            never = np.isin(uniques.astype(str), ("0", "inf")) & (at < 0)
            return np.where(never, NEVER, np.where(at >= 0, at, _UNMATCHED)).astype(np.int64)
        return out

    def _counted(self, ordinals: Floats) -> Ints:
        """Steps from the first period; unmatched where they are not whole."""
        steps = (np.where(np.isfinite(ordinals), ordinals, np.nan) - self.origin) / self.step
        whole = (np.abs(steps - np.round(steps)) < 1e-6) & (np.abs(steps) < NEVER)
        return np.where(whole, np.round(np.where(whole, steps, 0.0)), _UNMATCHED).astype(np.int64)

    def _coded_alike(self, values: pd.Series[Any], at: Ints) -> Bools:
        """Whether dates are the start of a period, its own date or the whole of it: one inside it is no period.

        A period beyond those seen may be named by any date that is as far into it as the periods seen are into theirs.
        """
        if isinstance(values.dtype, pd.PeriodDtype) and pd.PeriodIndex(values).freqstr == self.frequency:
            return np.ones(len(values), dtype=bool)
        own = _into_period(values, self.frequency)
        seen = np.zeros((len(self), 2))
        if self.kind == "dates":
            seen = _into_period(pd.Series(self.labels), self.frequency)
        inside = (at >= 0) & (at < len(self))
        same = own[:, 0] == seen[np.where(inside, at, 0), 0]
        like_some = np.isin(own[:, 0], seen[:, 0]) | np.isin(own[:, 1], seen[:, 1])
        alike: Bools = (own[:, 0] == 0) | np.where(inside, same, like_some)
        return alike


def read_axis(time: pd.Series[Any]) -> tuple[Periods, Ints]:
    """Order the periods and code the rows (n,) by position.

    Numbers and pandas periods are counted; dates by the coarsest of year, quarter, month, week, day, ... that tells
    them apart; ordered categories keep their order; other labels are sorted.

    Raises
    ------
    CausalDataError
        Fewer than two periods, a period that no row has between two others (a gap), labels whose order is unclear.
    """
    name = str(time.name)
    ordered = isinstance(time.dtype, pd.CategoricalDtype) and bool(time.cat.ordered)
    if ordered:
        used = np.unique(time.cat.codes.to_numpy())
        labels = pd.Index(time.cat.categories[used].astype(object), name=name)
        axis = Periods(labels, "labels", 0.0, 1.0, None, name, ordered=True)
        return _enough(axis), np.searchsorted(used, time.cat.codes.to_numpy()).astype(np.int64)
    values = _plain_dtype(time)
    codes, uniques = pd.factorize(values, use_na_sentinel=True)
    periods = pd.Series(uniques, name=name)
    if is_numeric(periods):
        kind, frequency, ordinals = "numbers", None, as_float(periods)
    elif _is_time(periods):
        kind = "periods" if isinstance(periods.dtype, pd.PeriodDtype) else "dates"
        frequency = pd.PeriodIndex(periods).freqstr if kind == "periods" else _frequency(periods)
        ordinals = _ordinals(periods, frequency)
    else:
        kind, frequency, ordinals = "labels", None, _label_order(periods)
        _refuse_unordered(time)
    numbered = kind == "labels" and all(str(label).isdigit() and len(str(label)) < 16 for label in periods)
    if numbered:  # years as text have the gaps of years
        ordinals = np.array([float(str(label)) for label in periods])
    order = np.argsort(ordinals, kind="stable")
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    labels = pd.Index(periods.iloc[order], name=name)
    ordinals = ordinals[order]
    step = _step(ordinals)
    axis = _enough(Periods(labels, kind, float(ordinals[0]) if len(ordinals) else 0.0, step, frequency, name))
    if kind != "labels" or numbered:
        _refuse_gaps(axis, ordinals)
    return axis, rank[codes]


def _plain_dtype(values: pd.Series[Any]) -> pd.Series[Any]:
    """Values without a categorical wrapping."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        inner = values.cat.categories.dtype
        missing = values.isna().any()
        whole = pd.api.types.is_integer_dtype(inner) or pd.api.types.is_bool_dtype(inner)
        return plain_column(values.astype("float64" if missing and whole else inner))
    return values


def _is_time(values: pd.Series[Any]) -> bool:
    return (
        pd.api.types.is_datetime64_any_dtype(values.dtype)
        or isinstance(values.dtype, pd.PeriodDtype)
        or (isinstance(values.dtype, pd.ArrowDtype) and values.dtype.kind == "M")
    )


def _dates(values: pd.Series[Any]) -> pd.Series[Any]:
    if isinstance(values.dtype, pd.ArrowDtype):
        values = pd.to_datetime(values.astype("datetime64[ns]"))
    if isinstance(values.dtype, pd.DatetimeTZDtype):
        values = values.dt.tz_localize(None)
    return values


def _ordinals(values: pd.Series[Any], frequency: str | None) -> Floats:
    """Dates or periods as whole numbers of one frequency."""
    if isinstance(values.dtype, pd.PeriodDtype):
        index = pd.PeriodIndex(values)
        if index.freqstr != frequency:
            index = index.to_timestamp().to_period(frequency)
    else:
        index = pd.PeriodIndex(_dates(values).dt.to_period(frequency))
    return np.asarray(index.astype("int64"), dtype=np.float64)


def _into_period(values: pd.Series[Any], frequency: str | None) -> Floats:
    """How far dates (or starts of periods) lie into periods of a frequency, from their start and from their end (n, 2).

    NaN where a period is longer than those: it does not say which of them is meant.
    """
    if isinstance(values.dtype, pd.PeriodDtype):
        given = pd.PeriodIndex(values)
        dates = given.start_time
        long = np.asarray(given.end_time > dates.to_period(frequency).end_time)
    else:
        dates = pd.DatetimeIndex(_dates(values))
        long = np.zeros(len(dates), dtype=bool)
    periods = dates.to_period(frequency)
    out = np.column_stack([(dates - end).to_numpy().astype("timedelta64[ns]").astype(np.float64)
                           for end in (periods.start_time, periods.end_time)])  # fmt: skip
    out[long] = np.nan
    return out


def _frequency(dates: pd.Series[Any]) -> str:
    """Coarsest frequency that tells the dates apart."""
    plain = _dates(dates)
    for frequency in _FREQUENCIES:
        if plain.dt.to_period(frequency).nunique() == len(plain):
            return frequency
    return "ns"


def _refuse_unordered(time: pd.Series[Any]) -> None:
    """Refuse categories in another order than that of the alphabet which are not said to be ordered."""
    if not isinstance(time.dtype, pd.CategoricalDtype):
        return
    used = [str(c) for c in time.cat.categories[np.unique(time.cat.codes[time.cat.codes >= 0])]]
    if used != sorted(used):
        raise CausalDataError(
            [
                Problem(
                    str(time.name),
                    f"is an unordered categorical whose categories are not sorted ({', '.join(used[:4])}, ...)",
                    None,
                    "say whether their order is that of time: df[time].cat.as_ordered(), or df[time].astype(str)",
                )
            ]
        )


def _label_order(labels: pd.Series[Any]) -> Floats:
    """Rank of labels in sorted order; refused where numbers within them would be sorted otherwise."""
    texts = [str(v) for v in labels]
    alike = next((t for k, t in enumerate(texts) if t in texts[:k]), None)
    if alike is not None:
        kinds = " and as ".join(type(plain(v)).__name__ for v in labels if str(v) == alike)
        message = f"holds {alike} as {kinds}, which print alike"
        raise CausalDataError([Problem(str(labels.name), message, None, "give the column one type, e.g. .astype(str)")])

    def natural(i: int) -> list[Any]:
        parts = re.split(r"(\d+)", texts[i])
        return [int(p) if p.isdigit() else p for p in parts]

    by_text = sorted(range(len(texts)), key=lambda i: texts[i])
    by_number = sorted(by_text, key=natural)
    by_calendar = sorted(by_text, key=lambda i: (*_year_month(texts[i]), natural(i)))
    by_words = sorted(by_text, key=lambda i: _before_or_after(texts[i]))
    if by_text != by_number or by_text != by_calendar or by_text != by_words:
        shown = [texts[i] for i in by_text[:4]]
        raise CausalDataError(
            [
                Problem(
                    str(labels.name),
                    f"holds labels whose order is unclear (in alphabetical order: {', '.join(shown)}"
                    f"{', ...' if len(by_text) > 4 else ''})",
                    None,
                    "give numbers, dates, or an ordered categorical: pd.Categorical(..., categories=[...],"
                    " ordered=True)",
                )
            ]
        )
    rank = np.empty(len(texts))
    rank[by_text] = np.arange(len(texts))
    return rank


_YEAR = re.compile(r"(?<!\d)(?:1[5-9]|20|21)\d\d(?!\d)")
_MONTH = re.compile(r"(?<![a-z])(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)(?:[a-z]*)", re.IGNORECASE)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


_BEFORE = re.compile(r"(?<![a-z])(before|pre|prior|baseline)(?![a-z])", re.IGNORECASE)
_AFTER = re.compile(r"(?<![a-z])(after|post|afterwards|endline)(?![a-z])", re.IGNORECASE)


def _before_or_after(text: str) -> int:
    """0 for a label that says before, 1 for one that says after, alike for the others."""
    return int(bool(_AFTER.search(text))) - int(bool(_BEFORE.search(text)))


def _year_month(text: str) -> tuple[int, int]:
    """Year and month that a label names, 0 where it names none."""
    year, month = _YEAR.search(text), _MONTH.search(text)
    return int(year[0]) if year else 0, _MONTHS.index(month[1].lower()) + 1 if month else 0


def _step(ordinals: Floats) -> float:
    return float(np.diff(ordinals).min()) if len(ordinals) > 1 else 1.0


def _enough(axis: Periods) -> Periods:
    if len(axis) < 2:
        seen = f"one period only ({_text(axis.labels[0])})" if len(axis) else "no period"
        raise CausalDataError(
            [Problem(axis.name, f"time has {seen}", None, "a panel needs rows before and after treatment")]
        )
    return axis


def _refuse_gaps(axis: Periods, ordinals: Floats) -> None:
    """Refuse periods that are not equally spaced: no row has the period between."""
    steps = np.diff(ordinals) / axis.step
    wide = np.flatnonzero(np.abs(steps - 1) > 1e-6)
    if not len(wide):
        return
    first = int(wide[0])
    raise CausalDataError(
        [
            Problem(
                axis.name,
                f"time has {len(wide):,} gap{'s' if len(wide) > 1 else ''}: no row lies between"
                f" {_text(axis.labels[first])} and {_text(axis.labels[first + 1])}, where the others are"
                f" {axis.step:g} apart",
                None,
                "if these are all periods there are, number them: df[time].rank(method='dense') (and the cohort alike);"
                " else restrict the panel to periods without a gap",
            )
        ]
    )


def _text(label: Any) -> str:
    if isinstance(label, pd.Timestamp):
        return f"{label:%Y-%m-%d}" if label == label.normalize() else str(label)
    return f"{label:g}" if isinstance(label, float) else str(label)
