"""What estimators that compare arms of rows share: samples in, one Effect out, rows to score on."""

from __future__ import annotations

import warnings
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from pandas_causal.arms.estimands import EstimandPlan
from pandas_causal.arms.overlap import arm_weights, overlap_check, propensity_histogram
from pandas_causal.arms.positivity import refuse_separation
from pandas_causal.arms.sample import (
    HeldOut,
    Sample,
    enough_clusters,
    known_propensity,
    notes,
    split_note,
)
from pandas_causal.effect.check import Checks
from pandas_causal.effect.effect import Effect
from pandas_causal.effect.estimates import Estimates
from pandas_causal.errors import (
    CausalArgumentError,
    CausalDataError,
    OverlapWarning,
    suggest,
    warn,
)
from pandas_causal.estimator import CausalEstimator
from pandas_causal.inference.effective_clusters import FEW_CLUSTERS, few_clusters_note
from pandas_causal.inference.influence import Component, Influence
from pandas_causal.inference.reference import Reference, Student
from pandas_causal.inference.rows import RowIdentity
from pandas_causal.inference.weighted_means import refuse_dominating_weights
from pandas_causal.inputs.arms import Arms, resolve_arms
from pandas_causal.inputs.column_rules import as_float, normalised_weights
from pandas_causal.inputs.encoding import Encoder
from pandas_causal.inputs.formula import FORMULA, AnyEncoder, FormulaEncoder
from pandas_causal.inputs.parameters import Legal
from pandas_causal.inputs.roles import Inputs, as_frame, resolve
from pandas_causal.inputs.treatments import is_numbers, read_numbers
from pandas_causal.inputs.types import Covariates, Outcome, RoleLike
from pandas_causal.kernels.arrays import Bools, Floats

__all__ = ["UNCONFOUNDED", "ArmComparison", "Law", "RowEstimator"]

_FEWEST_CLUSTERS = 4.0
UNCONFOUNDED = (
    "no unmeasured confounding: given the covariates, who is treated is as good as random (cannot be tested)",
    "overlap: every unit could have received every arm (checked)",
    "no interference between units, and one version of each arm",
)


@dataclass(frozen=True)
class Law:
    """Level and side of intervals and p-values, and the law of the statistics."""

    level: float = 0.95
    alternative: str = "two-sided"
    reference: Reference = field(default_factory=Student)


class RowEstimator(CausalEstimator):
    """Base of estimators of rows that each received a treatment: arms, numbers or either, as ``treatments`` says.

    A subclass's ``fit`` calls :meth:`prepare`.

    Attributes
    ----------
    uses_covariates : bool
        Whether covariates are read; where not, they are ignored.
    used_ : ndarray (rows of X,) of bool
        Rows that were used.
    formula : str or None
        Right-hand side (formulaic's: ``"age * sex + bs(dose, df=3) + C(site)"``) that makes the covariates of columns
        of X; None: all of X's. New rows are transformed as those of the fit were.
    treatment_name_ : str or tuple of str
        Name of the treatment, or of several.
    arms_ : tuple
        Levels of a treatment that is arms, the control first.
    arm_codes_ : ndarray (n,), int8
        Arm of every row used, as its position in `arms_`.
    row_weights_ : ndarray (n,) or None
        Sample weights of the rows used, with mean 1.
    """

    uses_covariates: ClassVar[bool] = True
    legal: ClassVar[Mapping[str, Legal]] = {"formula": FORMULA}
    formula: str | None = None  # a setting of the estimators that take one

    # -- fit ---------------------------------------------------------------------------------------------------------

    def prepare(
        self,
        X: Covariates,
        y: Outcome,
        *,
        treatment: RoleLike,
        missing: str = "raise",
        control: Hashable = None,
        outcome: bool = True,
        **roles: Any,
    ) -> Sample:
        """Read the roles, code the arms (the control 0) or take the numbers, and encode the covariates.

        Without `outcome` none is asked for, and where none is given the sample's is NaN: a design.

        Parameters
        ----------
        X, y, missing : as in ``fit``
        treatment : column name or array-like (n,)
        control : level of the treatment, optional
        outcome : bool
            Whether y is required.
        **roles
            cluster, sample_weight, propensity, ...: names or arrays.

        Raises
        ------
        CausalDataError
            Every problem of the data at once.
        """
        self.need("treatment", treatment)
        formula = self.formula if self.uses_covariates else None
        inputs = self.read_inputs(
            X,
            y,
            {"treatment": treatment, **roles},
            missing=missing,
            outcome=outcome,
            formula=formula,
            convert=None if self.uses_covariates else Inputs.without_covariates,
        )
        given = inputs.roles["treatment"]
        numbers = is_numbers(given, self.treatments)
        self.treatment_name_ = tuple(given) if isinstance(given, pd.DataFrame) else given.name
        if "sample_weight" in inputs.roles and not self._validated:  # refits of the bootstrap keep rows of weight 0
            normalised_weights(inputs.roles["sample_weight"], None if numbers else resolve_arms(given))
            inputs = inputs.weighted()
            given = inputs.roles["treatment"]
        self.used_ = inputs.kept
        treated = read_numbers(given) if numbers else resolve_arms(given, control)
        arms = treated if isinstance(treated, Arms) else None
        encoder: AnyEncoder = (
            Encoder.fit(inputs.covariates) if formula is None else FormulaEncoder.fit(formula, inputs.covariates)
        )
        self.encoder_ = encoder
        self.row_weights_ = normalised_weights(inputs.roles.get("sample_weight"), arms)
        if arms is not None:
            self.arms_, self.arm_codes_ = arms.levels, arms.codes
        values = np.full(len(inputs.index), np.nan) if inputs.outcome is None else as_float(inputs.outcome)
        clusters = inputs.ways("cluster")
        if len(clusters) == 1 and arms is not None:
            enough_clusters(inputs.roles["cluster"], arms)
        sample = Sample(
            inputs=inputs,
            y=values,
            treated=treated,
            X=encoder.transform(inputs.covariates),
            encoder=encoder,
            w=self.row_weights_,
            clusters=clusters,
            propensity=None if arms is None else known_propensity(inputs.roles.get("propensity"), arms),
            rows=RowIdentity(inputs.index, None if inputs.outcome is None else values),
        )
        if not self._validated and sample.w is not None:  # refits of the bootstrap draw rows; only estimates are read
            if arms is None:
                refuse_dominating_weights(sample.w, np.zeros(len(sample), dtype=np.int64), ["rows"])
            else:
                refuse_dominating_weights(
                    sample.w, arms.codes.astype(np.int64), [f"rows of arm {level!r}" for level in arms.levels]
                )
        return sample

    def few_clusters(self, sample: Sample, limit: float = FEW_CLUSTERS) -> list[str]:
        """What is to be said of clusters that are few or unequal (within the arms, where there are arms)."""
        if self._validated:
            return []
        arms = sample.treated if isinstance(sample.treated, Arms) else None
        return few_clusters_note(sample.clusters, sample.w, None if arms is None else arms.codes, limit)

    # -- new data ----------------------------------------------------------------------------------------------------

    def new_covariates(self, X: Covariates) -> pd.DataFrame:
        """Covariates of a new X; role columns in it are ignored, absent ones are fine."""
        frame, named = as_frame(X)
        if not named:
            taken = {name for names in self._taken.values() for name in names}
            both = (
                [f"x{j}" for j in range(self.n_features_in_)]
                if not hasattr(self, "feature_names_in_")
                else list(self.feature_names_in_)
            )
            names = both if frame.shape[1] == len(both) else [c for c in both if c not in taken]
            if frame.shape[1] != len(names):
                raise CausalDataError(
                    f"X has {frame.shape[1]} features, but {type(self).__name__} is expecting {self.n_features_in_}"
                    " features as input"
                )
            if hasattr(self, "feature_names_in_"):
                warnings.warn(
                    f"X does not have valid feature names, but {type(self).__name__} was fitted with feature names",
                    UserWarning,
                    stacklevel=3,
                )
            return frame.set_axis(names, axis=1)
        absent = [c for c in self.covariates_ if c not in frame.columns]
        if absent:
            raise CausalDataError(
                f"X lacks the covariates {absent}{suggest(absent[0], frame.columns)}; it was fitted on"
                f" {self.covariates_}"
            )
        return frame


class ArmComparison(RowEstimator):
    """Base of estimators that compare arms of rows.

    A subclass's ``fit`` calls :meth:`prepare`, computes parameters and their contributions, and stores ``effect_`` from
    :meth:`finish`; :meth:`overlap` checks positivity for the estimand asked.
    """

    def held_out(
        self, X: Covariates, y: Outcome, treatment: RoleLike, sample_weight: RoleLike, *, outcome: bool = True
    ) -> HeldOut:
        """Validate held-out rows for ``score``: every arm must be there, the outcome complete."""
        treatment = self._held_out_treatment(X) if treatment is None else treatment
        inputs = resolve(
            X, y, {"treatment": treatment, "sample_weight": sample_weight}, single=("treatment",), outcome=outcome
        )
        problems = inputs.held_out_problems()
        if problems:
            raise CausalDataError(problems)
        held_out = resolve_arms(inputs.roles["treatment"])
        unknown = [v for v in held_out.levels if v not in self.arms_]
        if unknown:
            raise CausalDataError(
                f"held-out rows hold arms never seen at fit: {unknown}; known arms: {list(self.arms_)}"
            )
        absent = [v for v in self.arms_ if v not in held_out.levels]
        if absent:
            raise CausalDataError(
                f"arm {absent[0]!r} has no held-out row, so nothing can be scored; use folds stratified by treatment: "
                "cv=CausalKFold(5, treatment=...)"
            )
        weight = inputs.roles.get("sample_weight")
        return HeldOut(
            codes=np.asarray([self.arms_.index(v) for v in held_out.levels], dtype=np.int8)[held_out.codes],
            X=self.encoder_.transform(self.new_covariates(X)),
            y=np.empty(0) if inputs.outcome is None else as_float(inputs.outcome),
            w=None if weight is None else as_float(weight),
        )

    def _held_out_treatment(self, X: Covariates) -> Any:
        """Name of the treatment's column, where fit was given one and this X has it."""
        names = self._taken.get("treatment")
        if names is None or names[0] not in as_frame(X)[0].columns:
            raise CausalArgumentError(
                "score needs the treatment of the held-out rows. It was given to fit as an array, which"
                " scikit-learn does not pass on to score: either name a column of X (search.fit(frame, y,"
                " treatment='arm')), or switch on metadata routing"
                " (sklearn.set_config(enable_metadata_routing=True)) and pass the array to the search"
            )
        return names[0]

    # -- the result --------------------------------------------------------------------------------------------------

    def finish(
        self,
        sample: Sample,
        plan: EstimandPlan,
        values: Floats,
        contributions: Floats,
        *,
        estimand: str,
        std_error_method: str,
        components: tuple[Component, ...] | None = None,
        diagnostics: Mapping[str, Any] | None = None,
        warned: Sequence[str] = (),
        assumptions: Sequence[str] = UNCONFOUNDED,
        facts: Mapping[str, Any] | None = None,
        population: str = "the population the rows were sampled from",
        law: Law | None = None,
        unknown: str = "",
    ) -> Effect:
        """Arrange parameters and contributions as an Effect; clusters given to fit are applied (CR1).

        `unknown` says why contributions are not known (NaN), and what to do; standard errors then are NaN.
        """
        law = Law() if law is None else law
        # CR2 has degrees of freedom that fall with unequal clusters; CR1 has none of its own
        wild = getattr(self, "cluster_inference", None) == "wild"
        few = [] if wild else self.few_clusters(sample, FEW_CLUSTERS if components is None else _FEWEST_CLUSTERS)
        u = Influence.from_contributions(
            values,
            contributions,
            sample.rows,
            names=plan.names,
            loadings=plan.loadings,
            components=components,
            clusters=sample.clusters,
            clustering=None if components is None else sample.cluster,
        )
        if unknown:
            u = u.without_contributions(unknown)
        elif sample.cluster and components is None:
            u = u.cluster(sample.cluster)
            std_error_method += f", clustered by {' and '.join(sample.clusters)} (CR1)"
        effect = Effect(
            rows=Estimates(pd.Series(plan.loadings @ values, index=plan.index, name="estimate"), u),
            estimand=estimand,
            n_obs=len(sample),
            assumptions=tuple(assumptions),
            diagnostics=Checks(diagnostics or {}),
            warnings=(*warned, *few, *notes(sample)),
            std_error_method=std_error_method,
            facts={**sample.facts(), **(facts or {})},
            population=population,
            level=law.level,
            alternative=law.alternative,
            reference=law.reference,
        )
        return effect.explained()

    def overlap(
        self,
        sample: Sample,
        propensity: Floats,
        estimand: str,
        keep: Bools | None = None,
        clipped: int = 0,
        weights: Floats | None = None,
        out_of_fold: bool = False,
        unpenalised: bool = True,
        augmented: bool = False,
        judged: bool = False,
    ) -> tuple[dict[str, Any], list[str]]:
        """Overlap and balance under the weights given, or the estimand's, and a warning where positivity is weak.

        `out_of_fold` says that no propensity is that of a row its model was fitted to, `unpenalised` that a logistic
        model without a penalty was tried, which does not exist where a linear score splits the arms; else it is tried.
        `judged` says that the covariates of all rows were asked already whether one separates the arms.
        `augmented` says that an outcome model stands beside the weights: then a difference by chance passes.

        Raises
        ------
        OverlapError
            Where one covariate, or the propensities, separate the arms.
        """
        codes = sample.codes
        used = slice(None) if keep is None else keep
        if not (judged or self._validated):  # in a part of rows that were judged whole, arms may be apart by chance
            refuse_separation(sample.inputs.covariates[used], codes[used], sample.arms.levels, estimand)
        w = None if sample.w is None else sample.w[used]
        levels = sample.arms.levels
        check = overlap_check(
            propensity[used], codes[used], levels, estimand=estimand, w=w, clipped=clipped, weights=weights,
            out_of_fold=out_of_fold,
        )  # fmt: skip
        if weights is None:
            weights = arm_weights(estimand, codes[used], propensity[used], w)
        checks = {
            "overlap": check,
            "propensity": partial(propensity_histogram, propensity[used], codes[used], levels),
            "balance": partial(sample.balance, weights, keep, by_chance=augmented),
        }
        split = [] if unpenalised or self._validated else split_note(sample, keep)
        if check.passed:
            return checks, split
        text = (
            f"weak overlap: {check.summary}; the answer leans on few comparable rows (see trim=, or estimand='ATO' of"
            " IPW)"
        )
        warn(text, OverlapWarning)
        return checks, [text, *split]
