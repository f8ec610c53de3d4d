"""The contract of every estimator, whatever its design: settings, roles, tags, routing of metadata, one Effect out."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from importlib import import_module
from inspect import signature
from types import FrameType
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, clone
from sklearn.utils import RegressorTags
from sklearn.utils.validation import check_is_fitted

from pandas_causal.effect.effect import Effect
from pandas_causal.effect.study import Study
from pandas_causal.errors import CausalArgumentError
from pandas_causal.estimators import PLACES
from pandas_causal.inputs.parameters import COMMON, Legal, check_settings
from pandas_causal.inputs.roles import ROLES, Inputs, resolve
from pandas_causal.inputs.schemas import check_inputs
from pandas_causal.inputs.treatments import Takes, is_numbers
from pandas_causal.inputs.types import Covariates, Outcome, RoleLike

__all__ = ["SHORT_NAMES", "CausalEstimator", "choose", "fit_columns", "refuse_outcome_scorer", "with_settings"]

# The one table of short names: question -> short name -> class, and the settings that the name stands for.
SHORT_NAMES: Mapping[str, Mapping[str, tuple[str, Mapping[str, object]]]] = {
    "ate": {
        "aipw": ("AIPW", {}),
        "ipw": ("IPW", {}),
        "regression": ("RegressionAdjustment", {}),
        "tmle": ("TMLE", {}),
    },
    "cate": {
        "dr": ("DRLearner", {}),
        "r": ("RLearner", {}),
        "x": ("XLearner", {}),
        "t": ("TLearner", {}),
        "s": ("SLearner", {}),
        "dml": ("LinearDML", {}),
        "forest": ("CausalForest", {}),
    },
    "mediate": {
        "doubly_robust": ("NaturalEffects", {}),
        "simulation": ("SimulatedMediation", {}),
    },
    "iv": {
        "2sls": ("InstrumentalVariables", {}),
        "liml": ("InstrumentalVariables", {"method": "liml"}),
        "fuller": ("InstrumentalVariables", {"method": "fuller"}),
        "gmm": ("InstrumentalVariables", {"method": "gmm"}),
        "cue": ("InstrumentalVariables", {"method": "cue"}),
        "jive": ("InstrumentalVariables", {"method": "jive"}),
        "ujive": ("InstrumentalVariables", {"method": "ujive"}),
        "hful": ("InstrumentalVariables", {"method": "hful"}),
        "interactive": ("InteractiveIV", {}),
        "partial_linear": ("PartialLinearIV", {}),
    },
    "did": {
        "callaway_santanna": ("CallawaySantAnna", {}),
        "imputation": ("ImputationDiD", {}),
        "sun_abraham": ("SunAbraham", {}),
        "two_way": ("DifferenceInDifferences", {}),
        "stacked": ("StackedDiD", {}),
        "triple_difference": ("TripleDifference", {}),
        "random_timing": ("RandomTiming", {}),
    },
    "synthetic_control": {
        "sdid": ("SyntheticDiD", {}),
        "sc": ("SyntheticControl", {}),
        "augmented": ("AugmentedSyntheticControl", {}),
        "mcnnm": ("MatrixCompletion", {}),
        "did": ("SyntheticDiD", {"unit_weights": "equal", "time_weights": "equal"}),
    },
}


class CausalEstimator(BaseEstimator):
    """Base of all estimators.

    A subclass declares the legal values of its settings in ``legal``, and writes ``fit``: it calls :meth:`read_inputs`
    with its roles, computes estimates and their contributions, and stores ``effect_``. Which metadata scikit-learn
    routes to ``fit`` and ``score`` follows from the roles in their signatures. Estimators of conditional effects also
    write ``effect(X)`` and ``predict``.

    Attributes
    ----------
    legal : mapping of str to Legal
        Legal values of the settings, checked by ``fit``; those of the base classes hold too.
    treatments : {"arms", "numbers", "either"}
        What a treatment is to the design: arms (few levels), numbers (one column or several), or whichever the data
        are; see :mod:`pandas_causal.inputs.treatments`.
    effect_ : Effect
    """

    legal: ClassVar[Mapping[str, Legal]] = COMMON
    treatments: ClassVar[Takes] = "arms"
    effect_: Effect
    if not TYPE_CHECKING:  # checkers would take every name for an attribute

        def __getattr__(self, name: str) -> Any:
            """Answer a scorer of outcomes that looks for predictions with what to do."""
            if name in ("predict", "predict_proba", "decision_function"):
                refuse_outcome_scorer(self)
            return object.__getattribute__(self, name)  # a property that failed says by itself what it lacks

    _validated: bool = False  # refits of the bootstrap see rows that were checked

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Request the roles in the signatures of ``fit`` and ``score``, so that scikit-learn passes them on."""
        for method in ("fit", "score"):
            if method in cls.__dict__:
                roles = [name for name in signature(cls.__dict__[method]).parameters if name in ROLES]
                setattr(cls, f"__metadata_request__{method}", dict.fromkeys(roles, True))
        super().__init_subclass__(**kwargs)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        if hasattr(self, "predict"):  # effects row by row are numbers; they do not predict y
            tags.estimator_type = "regressor"
            tags.regressor_tags = RegressorTags(poor_score=True)
        return tags

    def effect(self, X: Covariates = None) -> Effect:
        """Return the effect that was estimated.

        Parameters
        ----------
        X : None
            Only estimators of conditional effects take new rows.
        """
        check_is_fitted(self, "effect_")
        if X is not None:
            raise CausalArgumentError(
                f"{type(self).__name__} estimates an average and has no effect for every row of X; call effect()"
                " without X, or fit an estimator of conditional effects"
            )
        return replace(self.effect_, estimator=self, study=getattr(self, "_as_fitted", None))

    @property
    def checks_data(self) -> bool:
        """Whether data are to be judged: refits of the bootstrap see rows that were."""
        return not self._validated

    def check_settings(self) -> None:
        """Check every setting against ``legal``.

        Raises
        ------
        CausalArgumentError
            For a wrong one, naming the legal ones.
        """
        legal: dict[str, Legal] = {}
        for base in reversed(type(self).__mro__):
            legal |= vars(base).get("legal", {})
        check_settings(self.get_params(deep=False), legal)

    def trusting(self) -> Self:
        """Return itself, told that its inputs were validated before: refits of the bootstrap see the same rows."""
        self._validated = True
        return self

    def need(self, role: str, value: object) -> None:
        """Refuse a call without a role that the design needs."""
        if value is None:
            raise CausalArgumentError(
                f"{type(self).__name__}.fit needs {role}=, the name of a column of X or an array with one value per row"
            )

    def read_inputs(
        self,
        X: Covariates,
        y: Outcome,
        roles: Mapping[str, Any],
        *,
        missing: str = "raise",
        outcome: bool = True,
        single: Collection[str] = (),
        whole_covariates: bool = False,
        formula: str | None = None,
        convert: Callable[[Inputs], Inputs] | None = None,
    ) -> Inputs:
        """Check the settings, resolve roles, drop rows if asked, validate, and remember names.

        Parameters
        ----------
        X : DataFrame, array-like (n, p) or None
        y : array-like (n,) or None
        roles : mapping of str to name, array-like or None
        missing : {"raise", "drop"}
        outcome : bool
            Whether y is required.
        single : collection of str
            Roles that are one column in this design, though other designs take several.
        whole_covariates : bool
            With ``missing="drop"``, drop rows with a missing covariate too.
        formula : str, optional
            Keep the covariates that it reads; with ``missing="drop"`` rows that lack one are dropped.
        convert : callable, optional
            Changes roles before they are validated (dates to days).

        Returns
        -------
        Inputs

        Raises
        ------
        CausalArgumentError
            For a wrong setting.
        CausalDataError
            Every problem of the data at once.
        """
        self.check_settings()
        single = {*single, "treatment"} if self.treatments == "arms" else single
        inputs = resolve(X, y, roles, single=single, outcome=outcome)
        if not self._validated and inputs.outcome is not None:  # a refit is no study of its own
            self._as_fitted = Study.of(self, inputs, missing)
        if formula is not None:
            inputs = _of_formula(formula, inputs, y)
        inputs = inputs.complete(missing, covariates=whole_covariates or formula is not None)
        if convert is not None:
            inputs = convert(inputs)
        if not self._validated:
            check_inputs(inputs, numbers=is_numbers(inputs.roles.get("treatment"), self.treatments))
        self.n_features_in_ = len(inputs.columns)
        if inputs.named and all(isinstance(c, str) for c in inputs.columns):
            self.feature_names_in_ = np.asarray(inputs.columns, dtype=object)
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_
        self.covariates_ = list(inputs.covariates.columns)
        self._taken = dict(inputs.taken)
        return inputs


def refuse_outcome_scorer(estimator: CausalEstimator) -> None:
    """Refuse a scorer of scikit-learn's, which compares predictions with the outcome: effects do not predict it.

    Raises
    ------
    CausalArgumentError
        Where the caller is such a scorer.
    """
    frame: FrameType | None = sys._getframe(2)  # who asked for predictions
    for _ in range(8):
        name = "" if frame is None else str(frame.f_globals.get("__name__", ""))
        if frame is None or name.startswith("pandas_causal"):
            return
        if name == "sklearn.metrics._scorer":
            raise CausalArgumentError(
                f"{type(estimator).__name__} does not predict the outcome, which this scoring= compares predictions"
                " with: leave scoring out (the estimator's own score is for this), or use"
                " pandas_causal.metrics.r_score or dr_score for effects of rows"
            )
        frame = frame.f_back


def _of_formula(formula: str, inputs: Inputs, y: Outcome) -> Inputs:
    """Keep the covariates that a formula reads."""
    from pandas_causal.inputs.formula import formula_covariates

    taken = {name: role for role, names in inputs.taken.items() for name in names}
    if isinstance(y, pd.Series) and y.name is not None:
        taken[y.name] = "outcome"
    return inputs.with_covariates(formula_covariates(formula, list(inputs.covariates.columns), taken))


def choose(
    question: str,
    estimator: CausalEstimator | str,
    settings: Mapping[str, object],
    defaults: Mapping[str, object] | None = None,
) -> CausalEstimator:
    """Return the estimator of a short name, or a clone of the instance given, with the settings of the call.

    Parameters
    ----------
    question : str
        Whose short names are legal.
    estimator : str or estimator
    settings : mapping
        Of the call; None means not given.
    defaults : mapping, optional
        Settings that a short name gets where its class has them and the call says nothing.

    Raises
    ------
    CausalArgumentError
        For another estimator, or a setting that it does not have.
    """
    short_names = SHORT_NAMES[question]
    if isinstance(estimator, str) and estimator in short_names:
        name, stands_for = short_names[estimator]
        chosen: CausalEstimator = getattr(import_module(PLACES[name]), name)(**stands_for)
        known = chosen.get_params(deep=False)
        defaulted = {k: v for k, v in (defaults or {}).items() if k in known and settings.get(k) is None}
        return with_settings(chosen, {**settings, **defaulted})
    if isinstance(estimator, str | type) or not hasattr(estimator, "fit"):
        example = next(iter(short_names.values()))[0]
        raise CausalArgumentError(
            f"estimator={estimator!r} is not known; use one of {list(short_names)} or an instance, e.g. {example}()"
        )
    return with_settings(estimator, settings)


def with_settings(estimator: CausalEstimator, settings: Mapping[str, object]) -> CausalEstimator:
    """Clone an estimator with the settings that a call gives; None means not given."""
    chosen: CausalEstimator = clone(estimator)
    known = chosen.get_params(deep=False)
    named = {name: value for name, value in settings.items() if value is not None}
    absent = [name for name in named if name not in known]
    if absent:
        raise CausalArgumentError(f"{type(chosen).__name__} has no setting {absent[0]!r}; its settings: {list(known)}")
    chosen.set_params(**named)
    return chosen


def fit_columns(
    estimator: CausalEstimator,
    X: pd.DataFrame,
    y: pd.Series[Any],
    roles: Mapping[str, RoleLike],
    *,
    level: float | None = None,
    missing: str = "raise",
    frame: pd.DataFrame | None = None,
) -> Effect:
    """Fit an estimator and return its effect, at a level if one is given.

    `frame` is the caller's whole frame, which the study of the effect then refers to.

    Raises
    ------
    CausalArgumentError
        For a role that the estimator does not take, naming those it does.
    """
    check_settings({} if level is None else {"level": level})
    legal = signature(estimator.fit).parameters
    unknown = [role for role in roles if role not in legal]
    if unknown:
        known = [role for role in legal if role not in ("X", "y", "missing")]
        raise CausalArgumentError(f"{type(estimator).__name__} has no role {unknown[0]!r}; its roles: {known}")
    effect: Effect = estimator.fit(X, y, missing=missing, **roles).effect()
    if frame is not None and effect.study is not None:
        effect = replace(effect, study=replace(effect.study, frame=frame))
    return effect if level is None or level == effect.level else replace(effect, level=level)
