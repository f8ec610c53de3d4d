"""Many refits of one study, and what the law of the draws says of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from pandas_causal.effect.effect import Effect
from pandas_causal.effect.study import Refitted, Study
from pandas_causal.errors import CausalError
from pandas_causal.inference.reference import Normal, Student
from pandas_causal.inputs.column_rules import as_float, is_numeric
from pandas_causal.inputs.roles import Inputs
from pandas_causal.kernels.arrays import Bools, Codes, Floats, Positions

__all__ = ["Asked", "Collected", "Plan", "Question", "law_of_draws", "main_rows", "refitted_of"]

Asked = Mapping[str, Any]  # what the caller names: negative controls, a graph


@dataclass(frozen=True)
class Plan:
    """How many draws, from which seed, by how many workers.

    Attributes
    ----------
    n_simulations : int
    seed : int
    n_jobs : int or None
    progress : bool
    alpha : float
    """

    n_simulations: int = 100
    seed: int = 0
    n_jobs: int | None = None
    progress: bool = True
    alpha: float = 0.05

    def rng(self, name: str, k: int) -> np.random.Generator:
        """The generator of a draw: the same whatever was drawn before, and by whom."""
        return np.random.default_rng([self.seed, *name.encode(), k])


def main_rows(effect: Effect) -> Effect:
    """The rows that a summary opens with: the first average attached, where rows are many cells."""
    if effect.weightings and (len(effect) > 8 or effect.rows.index.nlevels > 1):
        return effect.aggregate(next(iter(effect.weightings)))
    return effect


def refitted_of(effect: Effect) -> Refitted:
    """Estimates without their bias, standard errors and degrees of freedom, on the scale that tests are made on."""
    rows = effect.rows.on_scale
    df = rows.uncertainty.df() if hasattr(rows.uncertainty, "df") else np.full(len(rows), np.inf)
    free = np.full(len(rows), np.inf) if isinstance(effect.reference, Normal) else np.asarray(df, dtype=float)
    return Refitted(rows.centre, rows.std_errors, free)


@dataclass(frozen=True, eq=False)
class Question:
    """An effect and the study behind it, made ready for many refits.

    Attributes
    ----------
    effect : Effect
        The rows that are refuted.
    study : Study
        With complete rows, compared with their hashes.
    asked : mapping of str to object
    stopped : list of str
        Refuters that Ctrl-C ended: none after them runs.
    """

    effect: Effect
    study: Study[Effect]
    asked: Asked = field(default_factory=dict)
    stopped: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, effect: Effect, study: Study[Effect], asked: Asked) -> Question:
        """The question of an effect; its many cells are averaged."""
        main = main_rows(replace(effect, study=study))
        assert main.study is not None  # noqa: S101 - a map keeps it
        return cls(main, main.study.ready(), asked)

    @property
    def inputs(self) -> Inputs:
        """Complete rows of the fit."""
        return self.study.data

    @cached_property
    def found(self) -> Refitted:
        """What the fit found."""
        return refitted_of(self.effect)

    @property
    def n(self) -> int:
        """Rows."""
        return len(self.inputs.index)

    @cached_property
    def y(self) -> Floats:
        """The outcome (n,)."""
        assert self.inputs.outcome is not None  # noqa: S101 - a study has one
        return as_float(self.inputs.outcome)

    @cached_property
    def kept(self) -> Bools:
        """Rows of the effect that are no reference rows."""
        marked = self.effect.reference_rows
        return np.ones(len(self.effect), dtype=bool) if marked is None else ~marked

    @property
    def covariates(self) -> list[Any]:
        """Names of the covariates that the estimator reads."""
        reads = getattr(self.study.estimator, "uses_covariates", True)
        return list(self.inputs.covariates.columns) if reads else []

    @property
    def design(self) -> str:
        """The kind of comparison."""
        return self.study.design

    @property
    def in_words(self) -> str:
        """The same, for a sentence."""
        return {"rows": "comparison of rows", "instrument": "comparison by instruments"}.get(self.design, self.design)

    @property
    def is_synthetic(self) -> bool:
        """Whether few treated units are compared with weighted others."""
        from pandas_causal.synthetic_control.base import SyntheticEstimator

        return isinstance(self.study.estimator, SyntheticEstimator)

    @cached_property
    def arms(self) -> int:
        """Levels of a treatment that is compared as arms; 0 where it is numbers, or there is none."""
        treatment = self.inputs.roles.get("treatment")
        if not isinstance(treatment, pd.Series):
            return 0
        levels = int(treatment.nunique())
        return levels if levels <= 20 and (levels == 2 or not is_numeric(treatment) or self._compares_arms) else 0

    @property
    def _compares_arms(self) -> bool:
        return getattr(self.study.estimator, "treatments", "") == "arms"

    @cached_property
    def clusters(self) -> Codes | None:
        """Cluster of every row, where errors are clustered one way."""
        values = self.inputs.roles.get("cluster")
        return None if not isinstance(values, pd.Series) else np.asarray(pd.factorize(values)[0])

    @cached_property
    def strata(self) -> Codes | None:
        """Block of every row, where treatment was drawn within blocks."""
        values = self.inputs.joint("strata")
        return None if values is None else np.asarray(pd.factorize(values)[0])

    # -- refits ------------------------------------------------------------------------------------------------------

    @cached_property
    def shared(self) -> Any:
        """Refits on covariates that are read once, where the estimator has them and nothing was done to its rows."""
        fitted = self.effect.estimator
        if self.study.post or not hasattr(fitted, "shared_refits"):
            return None
        shared = fitted.shared_refits()
        return shared if shared is not None and len(shared.codes) == self.n else None

    def refit(self, **changes: Any) -> Refitted:
        """Fit again with a part replaced."""
        return refitted_of(self.study.refit(**changes))

    def with_order(self, order: Positions) -> Refitted:
        """Fit again with the treatment in another order: that of instruments and of known propensities too."""
        if self.shared is not None:
            refitted: Refitted = self.shared.refit(codes=self.shared.codes[order])
            return refitted
        roles = {r: self.inputs.roles[r] for r in ("treatment", "instrument", "propensity") if r in self.inputs.roles}
        return self.refit(**{role: _ordered(values, order) for role, values in roles.items()})

    def with_outcome(self, y: Floats) -> Refitted:
        """Fit again with another outcome."""
        if self.shared is not None:
            refitted: Refitted = self.shared.refit(y=y)
            return refitted
        assert self.inputs.outcome is not None  # noqa: S101 - a study has one
        return self.refit(outcome=pd.Series(y, index=self.inputs.index, name=self.inputs.outcome.name))

    def with_covariate(self, values: Floats, name: str = "_simulated") -> Refitted:
        """Fit again with one more covariate, which a formula gets as a term."""
        estimator, formula = None, getattr(self.study.estimator, "formula", None)
        if formula is not None:
            from sklearn.base import clone

            estimator = clone(self.study.estimator).set_params(formula=f"{formula} + {name}")
        covariates = self.inputs.covariates.assign(**{name: values})
        return self.refit(covariates=covariates, estimator=estimator)

    def collect(
        self, one: Callable[[Question, int], Refitted], name: str, plan: Plan, n: int | None = None
    ) -> Collected:
        """Run the draws of a refuter: a bar after two seconds, Ctrl-C keeps what is done."""
        from sklearn.utils.parallel import Parallel, delayed
        from tqdm import tqdm

        n = plan.n_simulations if n is None else n
        if plan.n_jobs not in (None, 1):
            carried = _Carried(self)
            jobs = Parallel(n_jobs=plan.n_jobs, return_as="generator")(
                delayed(_remote)(carried, one, k) for k in range(n)
            )
        else:
            _ = self.shared
            jobs = (_attempt(self, one, k) for k in range(n))
        done: list[Refitted | str] = []
        interrupted = False
        try:
            for result in tqdm(jobs, total=n, desc=name, delay=2, disable=not plan.progress):
                done += [result]
        except KeyboardInterrupt:
            interrupted = True
            self.stopped.append(name)
        good = [r for r in done if isinstance(r, Refitted) and np.isfinite(r.estimates[self.kept]).all()]
        reasons = [r for r in done if isinstance(r, str)]
        reasons += ["estimates are not finite"] * (len(done) - len(good) - len(reasons))
        return Collected(good, n, reasons, interrupted, self.kept)


@dataclass(frozen=True, eq=False)
class _Carried:
    """A question that takes its data along to another process, where a pickled study leaves them."""

    question: Question

    def __reduce__(self) -> tuple[Any, ...]:
        q = self.question
        study = {name: getattr(q.study, name) for name in Study.__dataclass_fields__ if name != "frame"}
        shared = q.shared
        return _arrived, (study, q.found, q.kept, shared)


@dataclass(frozen=True, eq=False)
class _Remote:
    """What arrives in another process."""

    question: Question


def _arrived(study: dict[str, Any], found: Refitted, kept: Bools, shared: Any) -> _Remote:
    question = Question(None, Study(**study), {})  # type: ignore[arg-type]
    question.__dict__.update(found=found, kept=kept, shared=shared)
    return _Remote(question)


def _remote(carried: Any, one: Callable[[Question, int], Refitted], k: int) -> Refitted | str:
    return _attempt(carried.question, one, k)


def _attempt(question: Question, one: Callable[[Question, int], Refitted], k: int) -> Refitted | str:
    try:
        return one(question, k)
    except (CausalError, np.linalg.LinAlgError) as error:
        return str(error)


def _ordered(values: Any, order: Positions) -> Any:
    """Values in another order, on the index of their rows."""
    return values.iloc[order].set_axis(values.index)


@dataclass(frozen=True, eq=False)
class Collected:
    """Draws of a refuter.

    Attributes
    ----------
    draws : list of Refitted
    asked : int
        How many were wanted.
    reasons : list of str
        Why others could not be estimated.
    interrupted : bool
    kept : ndarray (rows,) of bool
        Rows of the effect that are judged.
    """

    draws: list[Refitted]
    asked: int
    reasons: list[str]
    interrupted: bool
    kept: Bools

    def __len__(self) -> int:
        return len(self.draws)

    @cached_property
    def estimates(self) -> Floats:
        """(draws, rows)."""
        return np.stack([d.estimates[self.kept] for d in self.draws])

    @cached_property
    def std_errors(self) -> Floats:
        """(draws, rows)."""
        return np.stack([d.std_errors[self.kept] for d in self.draws])

    @cached_property
    def df(self) -> Floats:
        """(draws, rows)."""
        return np.stack([d.df[self.kept] for d in self.draws])

    @property
    def unusable(self) -> str | None:
        """Why too few draws are left to say anything, or None."""
        if len(self.reasons) > self.asked / 10:
            return f"{len(self.reasons):,} of {self.asked:,} draws could not be estimated: {self.reasons[0]}"
        if len(self) < 10:
            return f"interrupted after {len(self):,} draws; 10 are needed"
        return None

    @property
    def notes(self) -> str:
        """What is to be said of draws that are not there."""
        parts = [f"{len(self):,} draws"]
        if self.reasons:
            parts.append(f"{len(self.reasons):,} could not be estimated and are left out ({self.reasons[0]})")
        if self.interrupted:
            parts.append(f"interrupted: {self.asked:,} were asked for")
        return "; ".join(parts)


class DrawLaw(NamedTuple):
    """P-values (rows,) of the mean and of the size of draws, both at once, and the spread of their statistics."""

    p_value: Floats
    p_mean: Floats
    p_size: Floats
    spread: Floats


def law_of_draws(deviations: Floats, std_errors: Floats, df: Floats) -> DrawLaw:
    """Compare draws with the law that their standard errors promise.

    The mean by the draws' own spread (Student's t), the statistics ``deviation / std_error`` by the Kolmogorov-Smirnov
    distance from Student's law; twice the smaller p-value, 1 at most, answers for both. Without standard errors the
    mean alone.

    Parameters
    ----------
    deviations : ndarray (draws, rows)
        Estimates less what they should be.
    std_errors, df : ndarray (draws, rows)
    """
    from scipy import special, stats

    draws, rows = deviations.shape
    p_mean, p_size, spread = np.ones(rows), np.full(rows, np.nan), np.full(rows, np.nan)
    for j in range(rows):
        d, sd = deviations[:, j], float(deviations[:, j].std(ddof=1))
        if sd > 0:
            statistic = float(d.mean()) / (sd / np.sqrt(draws))
            p_mean[j] = float(Student().p_value(np.array([statistic]), np.array([draws - 1.0]))[0])
        elif d[0] != 0:
            p_mean[j] = 0.0
        good = np.isfinite(std_errors[:, j]) & (std_errors[:, j] > 0)
        if good.all():
            t, free = d / std_errors[:, j], df[:, j]
            finite = np.isfinite(free)
            u = np.where(finite, special.stdtr(np.where(finite, free, 1.0), t), special.ndtr(t))
            p_size[j] = float(stats.kstest(u, "uniform").pvalue)
            spread[j] = float(t.std(ddof=1))
    both = np.where(np.isnan(p_size), p_mean, np.minimum(1.0, 2 * np.fmin(p_mean, p_size)))
    return DrawLaw(both, p_mean, p_size, spread)
