"""Linear models with instruments: the k-class, GMM, and jackknifed first stages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import ClassVar, Self

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from pandas_causal.arms.base import RowEstimator
from pandas_causal.arms.sample import Sample, notes
from pandas_causal.effect.check import Check, Checks
from pandas_causal.effect.effect import Effect
from pandas_causal.effect.estimates import Estimates
from pandas_causal.errors import CausalArgumentError, CausalDataError, WeakInstrumentWarning, warn
from pandas_causal.inference.effective_clusters import ONE_ROW, few_clusters_note
from pandas_causal.inference.influence import Component, Influence
from pandas_causal.inference.omitted_variables import LinearCoefficient
from pandas_causal.inference.weak_instruments import STOCK_YOGO_SIZE
from pandas_causal.inputs.encoding import Encoder
from pandas_causal.inputs.parameters import COMMON, FLAG, Legal, check_settings, number, one_of, or_none
from pandas_causal.inputs.treatments import Takes
from pandas_causal.inputs.types import Covariates, Outcome, RoleLike
from pandas_causal.instruments import checks
from pandas_causal.instruments.design import Design, few_clusters_text
from pandas_causal.instruments.k_class import (
    Fit,
    continuously_updated,
    fuller_k,
    hful,
    jackknifed,
    k_class,
    liml_kappa,
    two_step,
)
from pandas_causal.instruments.partialled import Columns, partial_out
from pandas_causal.instruments.plausible_exogeneity import bounds_check, plausible_band, validity_check
from pandas_causal.instruments.weak_instruments import LAWS, SETS, RobustSets
from pandas_causal.kernels.arrays import Bools, Codes, Floats, Values
from pandas_causal.models.fixed_effects import counted_parameters, singletons

__all__ = ["InstrumentalVariables"]

_METHODS = ("2sls", "liml", "fuller", "k", "gmm", "cue", "jive", "ujive", "hful")
_IN_WORDS = {
    "2sls": "two-stage least squares",
    "liml": "limited-information maximum likelihood",
    "fuller": "Fuller's k-class",
    "k": "k-class",
    "gmm": "two-step efficient GMM",
    "cue": "continuously updated GMM",
    "jive": "jackknifed first stage (JIVE)",
    "ujive": "jackknifed first stage (UJIVE)",
    "hful": "HFUL",
}
_JACKKNIFED = ("jive", "ujive", "hful")
_GMM = ("gmm", "cue")
_RULE_OF_THUMB = 10.0  # of the F of a first stage (Staiger and Stock 1997)
VALID = (
    "exclusion: the instruments move the outcome through the treatments only (cannot be tested)",
    "independence: given the covariates, the instruments are as good as random",
    "the effect is the same for all, or the estimate is an average weighted by how strongly each is moved",
)


class InstrumentalVariables(RowEstimator):
    r"""Effects of one treatment or several on an outcome, by instruments that move it through them only.

    The outcome is linear in treatments and covariates; instruments z are unrelated to its error,
    :math:`E[z (Y - D'\beta - X'\gamma)] = 0`. With one binary instrument and treatment and effects that vary the
    estimate is an average over those whom the instrument moves (Imbens and Angrist 1994); with covariates, or several
    instruments, an average of such averages: see :class:`InteractiveIV`.

    Parameters
    ----------
    method : {"2sls", "liml", "fuller", "k", "gmm", "cue", "jive", "ujive", "hful"}
        "k" takes `k`; "gmm" is two-step efficient, "cue" continuously updated; "jive", "ujive" and "hful" are for many
        instruments.
    k : float, optional
        Of the k-class, with ``method="k"``: 0 is least squares, 1 two-stage least squares.
    fuller : float
        Fuller's constant: 1 is nearly unbiased, 4 has the smaller mean squared error (also that of "hful").
    covariance : {"robust", "unadjusted"}
        Without clusters: robust to heteroskedasticity (HC0), or for residuals of one variance.
    small_sample : bool, optional
        Multiply variances by n / (n - p) (with clusters by G / (G - 1) (n - 1) / (n - p)), and refer to Student's t, as
        Stata does with ``small``. By default with clusters only.
    weak_set : {"ar", "k", "clr"}
        Test that :meth:`Effect.confidence_set` inverts: Anderson and Rubin's, Kleibergen's K, or Moreira's conditional
        likelihood ratio. All hold however weak the instruments are.
    law : {"chi2", "f"}
        To which Anderson and Rubin's statistic is referred.
    level : float

    Attributes
    ----------
    effect_ : Effect
        One row per treatment.
    kappa_ : float
        The k used, of a k-class estimator.
    instruments_ : list of str
        Instruments used.

    Notes
    -----
    Covariates are those of X; a missing one is imputed by the mean, with an indicator. Absorbed effects (``absorb=``)
    are taken out exactly, rows alone in a level are left out and counted, and levels count as coefficients as fixest
    counts them. Errors of k-class estimators use the k-class scores ``(D - k M D) e``; linearmodels uses the projected
    treatments, which differ in the seventh digit where k is near 1. GMM's errors hold the noise of the weights. JIVE,
    UJIVE and HFUL have the variance that is right with many weak instruments; with clusters, the clustered one.

    References
    ----------
    Wooldridge (2010), chapters 5 and 8; Anderson and Rubin (1949); Fuller (1977), Econometrica; Hansen (1982); Hansen,
    Heaton and Yaron (1996); Angrist, Imbens and Krueger (1999); Kolesar (2013); Hausman et al. (2012).
    """

    legal: ClassVar[Mapping[str, Legal]] = {
        "method": one_of(*_METHODS),
        "k": or_none(number(-np.inf, np.inf, "a number")),
        "fuller": number(0, np.inf, "a number of 0 or more"),
        "covariance": one_of("robust", "unadjusted"),
        "small_sample": or_none(FLAG),
        "weak_set": one_of(*SETS),
        "law": one_of(*LAWS),
    }
    treatments: ClassVar[Takes] = "numbers"

    def __init__(
        self,
        *,
        method: str = "2sls",
        k: float | None = None,
        fuller: float = 1.0,
        covariance: str = "robust",
        small_sample: bool | None = None,
        weak_set: str = "ar",
        law: str = "chi2",
        level: float = 0.95,
    ) -> None:
        self.method = method
        self.k = k
        self.fuller = fuller
        self.covariance = covariance
        self.small_sample = small_sample
        self.weak_set = weak_set
        self.law = law
        self.level = level

    def fit(
        self,
        X: Covariates,
        y: Outcome = None,
        *,
        treatment: RoleLike = None,
        instrument: RoleLike = None,
        absorb: RoleLike = None,
        cluster: RoleLike = None,
        sample_weight: RoleLike = None,
        missing: str = "raise",
    ) -> Self:
        """Fit.

        Parameters
        ----------
        X : DataFrame, array-like (n, p) or None
            Covariates, and any roles given by name.
        y : array-like (n,)
            Outcome, in its own units.
        treatment : str, list of str, or array-like (n,) or (n, d)
            Numbers (0/1 is one).
        instrument : str, list of str, or array-like (n,) or (n, q)
            Numbers, or labels (a level each but the most frequent).
        absorb : str, list of str, or array-like, optional
            Labels whose effects are taken out (firm, year).
        cluster : str, array-like (n,) or list of up to four, optional
        sample_weight : str or array-like (n,), optional
        missing : {"raise", "drop"}

        Raises
        ------
        CausalDataError
            Everything that is wrong with the data, at once.
        NotIdentifiedError
            Fewer instruments than treatments once covariates and absorbed effects are taken out.
        """
        self.need("instrument", instrument)
        sample = self.prepare(
            X, y, treatment=treatment, instrument=instrument, absorb=absorb, cluster=cluster,
            sample_weight=sample_weight, missing=missing,
        )  # fmt: skip
        design = _design(sample, self.covariance, self.method in _JACKKNIFED)
        if self.method in _GMM and len(design.clusters) > 1:
            raise CausalArgumentError(
                f"the weights of method={self.method!r} are clustered one way, and {len(design.clusters)} were given;"
                " use '2sls' or 'liml' with several"
            )
        if self.method in _GMM and design.has_few_clusters:
            raise CausalDataError(few_clusters_text(design))
        fit = self._estimate(design)
        self._design, self._received = design, (sample.numbers.values[:, 0], sample.y)
        self.kappa_ = np.nan if fit.k is None else fit.k
        self.instruments_ = design.used_instruments
        self.effect_ = self._arrange(sample, design, fit)
        return self

    def check_settings(self) -> None:
        """Check that k stands with its method."""
        super().check_settings()
        if (self.method == "k") != (self.k is not None):
            raise CausalArgumentError(
                f"k= belongs to method='k', and method='k' needs it; got {self.method!r}, k={self.k}"
            )

    def plausible_exogeneity(
        self, direct: float | Sequence[float], *, method: str = "union", level: float | None = None
    ) -> Check:
        """Intervals where the instruments may reach the outcome by themselves, by how much: see :func:`plausible_band`.

        Parameters
        ----------
        direct : float, or sequence of float (q,)
            Direct effect of one unit of the instrument (of each, in the order of ``instruments_``) on the outcome: the
            largest, or with "local" its standard deviation around zero.
        method : {"union", "local"}
        level : float, optional
        """
        check_is_fitted(self, "effect_")
        level = self.level if level is None else level
        check_settings({"level": level, "method": method}, {**COMMON, "method": one_of("union", "local")})
        if self.method != "2sls":
            raise CausalArgumentError(f"plausible_exogeneity is of method='2sls'; this fit is {self.method!r}")
        return plausible_band(self._design, self.effect_, direct, method, level)

    def instrument_coefficients(self, null: float) -> dict[str, LinearCoefficient] | None:
        """Coefficients of the instrument on outcome less `null` times treatment, and on treatment.

        The effect is `null` exactly where the first is zero, if the second is not; errors are the classical ones. None
        with several instruments or treatments.

        Parameters
        ----------
        null : float
        """
        check_is_fitted(self, "effect_")
        data, names = self._design.data, self._design
        if data.d != 1 or data.q != 1:
            return None
        z, d, y = names.used_instruments[0], names.treatment_names[0], names.outcome_name
        less = f" less {null:g} {d}" if null else ""
        out = {}
        for name, c, scale in (
            (f"{z} on {y}{less}", np.array([1.0, -null / float(data.unit[0])]), data.scale_y),
            (f"{z} on {d}", np.array([0.0, 1.0]), float(data.scale_d[0])),
        ):
            slope = float(data.zw[0] @ c) / float(data.zz[0, 0])
            rss = float(c @ (data.ww - data.projected) @ c)
            unit = scale / float(data.scale_z[0])
            error = float(np.sqrt(rss / data.df / float(data.zz[0, 0])))
            out[name] = LinearCoefficient(slope * unit, error * unit, float(data.df))
        return out

    def test_validity(self, n_draws: int = 500, random_state: int | None = 0) -> Check:
        """Kitagawa's (2015) test of a binary instrument and treatment: see :func:`validity_check`.

        Parameters
        ----------
        n_draws : int
        random_state : int or None
        """
        check_is_fitted(self, "effect_")
        check_settings({"n_draws": n_draws, "random_state": random_state}, COMMON)
        raw, data = self._design.raw_instrument, self._design.data
        D, y = self._received
        if raw is None or len(np.unique(raw)) != 2 or data.d != 1 or len(np.unique(D)) != 2:
            raise CausalArgumentError("test_validity takes one instrument and one treatment of two values each")
        z, d = (np.unique(v, return_inverse=True)[1].ravel() for v in (raw, D))
        return validity_check(y, d, z, self._design.outcome_name, n_draws, random_state)

    # -- private -----------------------------------------------------------------------------------------------------

    def _estimate(self, design: Design) -> Fit:
        data = design.data
        if self.method in _GMM:
            of = {"gmm": two_step, "cue": continuously_updated}[self.method]
            return of(data, design.clusters)
        if self.method in ("jive", "ujive"):
            return jackknifed(data, covariates_too=self.method == "ujive")
        if self.method == "hful":
            return hful(data, self.fuller)
        if self.method == "2sls":
            return k_class(data, 1.0)
        if self.method == "k":
            return k_class(data, float(self.k if self.k is not None else 1.0))
        kappa = liml_kappa(data.ww, data.projected)
        return k_class(data, kappa if self.method == "liml" else fuller_k(kappa, data.df, self.fuller))

    def _arrange(self, sample: Sample, design: Design, fit: Fit) -> Effect:
        data, names = design.data, sample.numbers.names
        if data.d > 1 and self.weak_set != "ar":
            raise CausalArgumentError(
                f"weak_set={self.weak_set!r} is for one treatment; with {data.d} use 'ar', whose joint set is projected"
            )
        index = pd.Index(names, name="treatment")
        u, method = self._uncertainty(design, fit, index)
        robust = RobustSets(design, index, self.weak_set, self.law, fit.beta, np.asarray(u.std_error(), dtype=float))
        found = checks.instrument_checks(design, fit, robust, self.level, u)
        if not design.n_singletons and all(_is_binary(v) for v in (design.raw_instrument, *self._received)):
            z, (d, y) = design.raw_instrument, self._received
            found["bounds"] = partial(bounds_check, y, d.astype(np.intp), np.asarray(z).astype(np.intp), sample.w)
        few = self._few_clusters(design) if self.checks_data else []
        warned = [*notes(sample), *design.notes, *few, *self._weak(design)]
        through = f" and absorbing {', '.join(design.absorbed)}" if design.absorbed else ""
        effect = Effect(
            rows=Estimates(pd.Series(fit.beta, index=index, name="estimate"), u),
            estimand=f"effect of {sample.treatment} on {sample.outcome}, moved by {_listed(design.used_instruments)}"
            f"{through} ({_IN_WORDS[self.method]})",
            n_obs=data.n,
            level=self.level,
            assumptions=VALID,
            diagnostics=Checks(found),
            warnings=(*warned, *([few_clusters_text(design)] if design.has_few_clusters else [])),
            std_error_method=method,
            inversion=robust,
            population="those whom the instruments move, weighted by how strongly",
            facts={
                **sample.facts(),
                "instruments": _listed(design.used_instruments),
                "method": self.method,
                "k": fit.k,
                "n_singletons": design.n_singletons,
            },
        )
        return effect.explained()

    def _uncertainty(self, design: Design, fit: Fit, index: pd.Index) -> tuple[Influence, str]:
        data = design.data
        n, p = data.n, design.n_parameters
        u = Influence.from_contributions(
            fit.beta, fit.contributions, design.rows, names=index, clusters=design.cluster_labels
        )
        u = replace(u, factor_p=p)
        small = self.small_sample
        if design.cluster_labels:
            ways = tuple(design.cluster_labels.values())
            small = True if small is None else small
            word = "CR1" if small else "no small-sample factor"
            return u.cluster(ways, small_sample=small), f"clustered by {' and '.join(design.cluster_labels)} ({word})"
        if self.covariance == "unadjusted" and self.method not in _JACKKNIFED:
            meat = fit.sigma2 * fit.bread
            words = "residuals of one variance"
        else:
            meat = fit.contributions.T @ fit.contributions if fit.meat is None else fit.meat
            words = "robust (HC0)" if fit.meat is None else "robust, for many weak instruments"
        component = Component(meat)
        if small:
            component = Component(meat * n / (n - p), float(n - p))
            words = words.replace("HC0", "HC1") + f", t with {n - p:,} degrees of freedom"
        return replace(u, components=(component,)), words

    def _few_clusters(self, design: Design) -> list[str]:
        """What is to be said of few or unequal clusters, within the two sides of a binary instrument."""
        sides = None
        if design.raw_instrument is not None:
            levels, at = np.unique(design.raw_instrument, return_inverse=True)
            sides = at.ravel() if len(levels) == 2 else None
        return few_clusters_note(design.cluster_labels, design.data.w, sides, remedy=ONE_ROW)

    def _weak(self, design: Design) -> list[str]:
        """Warn where the effective F of one treatment, or the F that several are moved separately, is too low."""
        data = design.data
        if data.d == 1:
            name, statistic, critical = "effective F", design.effective_f.statistic, design.effective_f.critical[0.10]
            of = "its critical value for a bias of 10% of the worst case"
        else:
            plain = design.is_homoskedastic or design.has_few_clusters or np.isnan(design.rank_statistic)
            name = f"{'Cragg-Donald' if plain else 'Kleibergen-Paap'} F of {data.d} treatments moved separately"
            factor = 1.0 if design.is_homoskedastic else design.factor
            statistic = design.cragg_donald_f if plain else design.rank_statistic / data.q / factor
            tabled = STOCK_YOGO_SIZE.get((data.d, data.q))
            critical = _RULE_OF_THUMB if tabled is None else tabled[0]
            of = "a rule of thumb" if tabled is None else "Stock and Yogo's critical value for a size of 10%"
        if np.isnan(statistic) or statistic >= critical:
            return []
        text = (
            f"weak instruments: the {name} is {statistic:.1f}, below {critical:.1f}, {of}; read"
            " effect.confidence_set(), which holds however weak they are"
        )
        warn(text, WeakInstrumentWarning)
        return [text]


def _is_binary(values: Floats | None) -> bool:
    return values is not None and bool(np.isin(values, (0.0, 1.0)).all())


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _design(sample: Sample, covariance: str, jackknifed: bool) -> Design:
    """Encode instruments, leave out rows alone in an absorbed level, take covariates out."""
    inputs = sample.inputs
    given = inputs.roles["instrument"]
    frame = given.to_frame() if isinstance(given, pd.Series) else given
    if not all(isinstance(c, str) for c in frame.columns):
        frame = frame.set_axis([f"instrument {c}" for c in frame.columns], axis=1)
    encoder = Encoder.fit(frame)
    Z, names = encoder.transform(frame), encoder.names
    D, X, y, w = sample.numbers.values, sample.X, sample.y, sample.w
    notes: list[str] = []
    factors, absorbed, alone = _factors(inputs.ways("absorb"), jackknifed)
    rows, clusters = sample.rows, dict(sample.clusters)
    n_singletons = 0
    if alone is not None:
        keep = np.flatnonzero(~alone)
        n_singletons = int(alone.sum())
        if not len(keep):
            raise CausalDataError(f"every row is alone in a level of {' or '.join(absorbed)}; absorb coarser labels")
        notes.append(f"{n_singletons:,} rows alone in a level of {' or '.join(absorbed)} were left out")
        Z, D, X, y = Z[keep], D[keep], X[keep], y[keep]
        w = None if w is None else w[keep] / w[keep].mean()
        rows = rows.take(keep)
        clusters = {name: labels[keep] for name, labels in clusters.items()}
        factors = [np.asarray(pd.factorize(f[keep])[0]) for f in factors]
    codes = tuple(np.asarray(pd.factorize(pd.Series(labels))[0]) for labels in clusters.values())
    n_absorbed = counted_parameters(0, factors) if factors else 1
    data = partial_out(Columns(X, D, Z, y, w), factors, n_absorbed, names=names, treatments=sample.numbers.names)
    counted = (
        data.d
        + len(data.X_at)
        + (counted_parameters(0, factors, codes[0] if len(codes) == 1 else None) if factors else 1)
    )
    used = [names[j] for j in data.Z_at]
    gone = [name for name in names if name not in used]
    if gone:
        notes.append(f"instruments that covariates and those before them explain were left out: {_listed(gone)}")
    dropped = np.setdiff1d(np.arange(X.shape[1]), data.X_at)
    if len(dropped):
        notes.append(
            f"covariates that {'absorbed effects or ' if factors else ''}those before them explain were left out:"
            f" {_listed([sample.encoder.names[j] for j in dropped])}"
        )
    return Design(
        data=data, rows=rows, clusters=codes, cluster_labels=clusters, n_parameters=counted,
        used_instruments=used, treatment_names=sample.numbers.names, outcome_name=sample.outcome,
        absorbed=tuple(absorbed), n_singletons=n_singletons, notes=tuple(notes), robust=covariance == "robust",
        raw_instrument=Z[:, data.Z_at[0]] if data.q == 1 else None,
        means=np.r_[np.average(y, weights=w), np.average(D, axis=0, weights=w)],
    )  # fmt: skip


def _factors(ways: Mapping[str, Values], jackknifed: bool) -> tuple[list[Codes], list[str], Bools | None]:
    """Codes of the absorbed effects, their names, and rows alone in a level (None: no row is)."""
    if not ways:
        return [], [], None
    if jackknifed:
        raise CausalArgumentError(
            "jackknifed first stages need every row's leverage, which absorbed effects do not give; pass the labels as"
            " categorical covariates, or use method='liml'"
        )
    factors: list[Codes] = [np.asarray(pd.factorize(pd.Series(labels))[0]) for labels in ways.values()]
    alone = singletons(factors)
    return factors, list(ways), alone if alone.any() else None
