"""Learners of effects joined by what doubly robust scores of held-out rows say of them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from tqdm import tqdm

from pandas_causal.errors import CausalArgumentError
from pandas_causal.heterogeneity.cache import reuse_nuisances
from pandas_causal.heterogeneity.meta_learners import (
    ArmLearner,
    DRLearner,
    Effects,
    Parts,
    RLearner,
    SLearner,
    TLearner,
    XLearner,
)
from pandas_causal.heterogeneity.refits import effects_of_rows, fit_rows
from pandas_causal.heterogeneity.scoring import dr_loss_skill, outcome_skill, r_loss_skill
from pandas_causal.inputs.parameters import Legal, number
from pandas_causal.inputs.types import Model
from pandas_causal.kernels.arrays import Floats

__all__ = ["CausalStack", "q_weights"]


def q_weights(predictions: Floats, scores: Floats, w: Floats | None = None, nu: float = 0.5) -> Floats:
    r"""Weights, not negative and of sum 1, that minimise the Q-aggregation loss.

    .. math:: (1 - \nu) \sum_j \theta_j \ell(f_j) + \nu \ell(\sum_j \theta_j f_j)

    with :math:`\ell` the mean squared distance from the scores: part the loss of the average, part the average of the
    losses, which keeps weights off members that are bad by themselves. 0 chooses one member, 1 is least squares.

    Parameters
    ----------
    predictions : ndarray (n, m, d)
        Of m members, for rows that they did not see.
    scores : ndarray (n, d)
    w : ndarray (n,), optional
    nu : float

    References
    ----------
    Lan and Syrgkanis (2023), "Causal Q-aggregation for CATE model selection", eq. (4); Lecue and Rigollet (2014),
    "Optimal learning with Q-aggregation", Annals of Statistics 42.
    """
    n, m, _ = predictions.shape
    unit = np.full(n, 1.0 / n) if w is None else w / w.sum()
    gap = predictions - scores[:, None, :]
    losses = np.einsum("i,ijd,ikd->jk", unit, gap, gap)
    # on the simplex the loss of the average is theta' L theta
    linear = (1 - nu) * np.diag(losses)
    scale = float(np.abs(losses).max()) or 1.0
    H, b = 2 * nu * losses / scale, linear / scale
    step = 1.0 / max(float(np.linalg.eigvalsh(H)[-1]), 1e-12) if nu else 1.0
    theta = before = np.full(m, 1.0 / m)
    if not nu:
        return np.asarray(np.arange(m) == int(b.argmin()), dtype=float)
    momentum = 1.0
    for _ in range(20_000):
        following = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        ahead = theta + (momentum - 1) / following * (theta - before)
        moved = _on_simplex(ahead - step * (H @ ahead + b))
        if (moved - theta) @ (ahead - moved) > 0:  # overshot: start the momentum anew
            following = 1.0
        before, theta, momentum = theta, moved, following
        if np.abs(theta - before).max() < 1e-12:
            break
    theta[theta < 1e-9] = 0.0
    return theta / theta.sum()


def _on_simplex(v: Floats) -> Floats:
    """The nearest point with coordinates that are not negative and sum to 1 (Held, Wolfe and Crowder 1974)."""
    ranked = np.sort(v)[::-1]
    over = (np.cumsum(ranked) - 1) / np.arange(1, len(v) + 1)
    k = int(np.flatnonzero(ranked > over)[-1])
    return np.maximum(v - over[k], 0.0)


class _Joined:
    """Fitted learners and their weights."""

    def __init__(self, learners: Sequence[Any], weights: Floats) -> None:
        self.learners, self.weights = learners, weights

    def predict(self, X: Floats) -> Floats:
        """Not of encoded rows: every learner encodes rows of the frame by itself."""
        raise NotImplementedError

    def on(self, frame: pd.DataFrame) -> Floats:
        """Effects (m, d)."""
        parts = zip(self.learners, self.weights, strict=True)
        return np.asarray(sum(weight * effects_of_rows(learner, frame) for learner, weight in parts if weight))


class CausalStack(ArmLearner):
    r"""Learners of effects joined by Q-aggregation of doubly robust scores.

    Every learner predicts effects for rows that it did not see; the weights minimise a mix of the joined effects'
    squared distance from the doubly robust scores and of their members' own. What no outcome error can say, which of
    them knows the effect, the scores say, and no single learner need be right. Effects of single rows have no standard
    error; averages have, by the same scores.

    Parameters
    ----------
    learners : mapping of name to estimator, list of estimators, or None
        Estimators of effects for rows, of arms. None: DR (linear and boosting), R, X, T and S with the models below.
    outcome_model, propensity_model : names or scikit-learn models
        Of the scores.
    nu : float
        Share of the joined loss, between 0 (the best learner alone) and 1 (least squares).
    cv, clip, control, random_state, n_jobs, memory
        As in :class:`DRLearner`; folds of learners and scores are the same.

    Attributes
    ----------
    weights_ : Series
        By learner.
    table_ : DataFrame
        A row per learner, and "stack": its weight; ``dr_score`` and ``r_score``, how well its effects for rows not seen
        fit the scores and the residuals (0: no better than one effect for all); ``outcome_skill``, how well its models
        predict the outcome, which says little of the effect. The weights of "stack" were chosen on these very rows, so
        that its scores are a little too good.
    effect_ : Effect
        Average effects, doubly robust.

    References
    ----------
    Lan and Syrgkanis (2023), "Causal Q-aggregation for CATE model selection".

    Examples
    --------
    >>> CausalStack([DRLearner(), TLearner()]).fit(frame, y, treatment="t").weights_  # doctest: +SKIP
    """

    legal: ClassVar[Mapping[str, Legal]] = {"nu": number(0, np.nextafter(1, 2), "a number in [0, 1]")}

    def __init__(
        self,
        *,
        learners: Mapping[str, Any] | Sequence[Any] | None = None,
        outcome_model: Model = "auto",
        propensity_model: Model = "auto",
        nu: float = 0.5,
        cv: object = 5,
        clip: float = 0.01,
        control: Hashable = None,
        random_state: int | None = 0,
        n_jobs: int | None = None,
        memory: Any = None,
    ) -> None:
        self.learners = learners
        self.outcome_model = outcome_model
        self.propensity_model = propensity_model
        self.nu = nu
        self.cv = cv
        self.clip = clip
        self.control = control
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.memory = memory

    def check_settings(self) -> None:
        """Check every setting, the learners too."""
        super().check_settings()
        self._named()

    def _named(self) -> dict[str, Any]:
        """Learners by name."""
        given = self.learners
        if given is None:
            models: dict[str, Any] = {"outcome_model": self.outcome_model, "propensity_model": self.propensity_model}
            models |= {"clip": self.clip, "random_state": self.random_state, "n_jobs": self.n_jobs}
            boosted: dict[str, Any] = {**models, "final_model": "boosting"}
            return {
                "dr linear": DRLearner(**models, final_model="linear"), "dr": DRLearner(**boosted),
                "r": RLearner(**boosted), "x": XLearner(**boosted), "t": TLearner(**models), "s": SLearner(**models),
            }  # fmt: skip
        if isinstance(given, Mapping):
            named = {str(name): learner for name, learner in given.items()}
        elif isinstance(given, list | tuple):
            kinds = [type(learner).__name__ for learner in given]
            named = {
                kind if kinds.count(kind) == 1 else f"{kind} {kinds[: k + 1].count(kind)}": learner
                for k, (kind, learner) in enumerate(zip(kinds, given, strict=True))
            }
        else:
            named = {}
        unfit = [name for name, learner in named.items() if not _is_learner(learner)]
        if not named or unfit:
            raise CausalArgumentError(
                "learners must be None, or estimators of effects for rows in a list or by name, e.g. [DRLearner(),"
                f" TLearner()]; got {given if not unfit else named[unfit[0]]!r}"
            )
        return named

    def _fit_effects(self, parts: Parts) -> Effects:
        sample, folds = parts.sample, parts.found.folds
        named, n = self._named(), len(sample)
        contrasts = self.scores_[:, 1:] - self.scores_[:, [0]]
        held = np.empty((n, len(named), contrasts.shape[1]))
        whole = []
        jobs = [(j, fold) for j in range(len(named)) for fold in (*np.unique(folds), -1)]
        with reuse_nuisances():
            for j, fold in tqdm(jobs, desc="learners", delay=2):
                learner = list(named.values())[j]
                fit = fit_rows(learner, sample, np.flatnonzero(folds != fold))
                if fold < 0:
                    whole.append(fit)
                    continue
                own = np.flatnonzero(folds == fold)
                held[own, j] = effects_of_rows(fit, sample.inputs.covariates.iloc[own])
        weights = q_weights(held, contrasts, sample.w, self.nu)
        self.weights_ = pd.Series(weights, index=pd.Index(list(named), name="learner"), name="weight")
        self.table_ = self._table(parts, held, contrasts, whole)
        return _Joined(whole, weights)

    def _table(self, parts: Parts, held: Floats, contrasts: Floats, whole: Sequence[Any]) -> pd.DataFrame:
        sample, e = parts.sample, parts.found.e
        y = sample.y - (e * parts.found.outcome.predictions).sum(axis=1)
        D = (sample.codes[:, None] == np.arange(1, e.shape[1])) - e[:, 1:]
        names = [*self.weights_.index, "stack"]
        effects = [*np.moveaxis(held, 1, 0), np.einsum("ijd,j->id", held, self.weights_.to_numpy())]
        rows = [
            (weight, dr_loss_skill(contrasts, tau, sample.w), r_loss_skill(y, D, tau, sample.w), skill)
            for weight, tau, skill in zip(
                [*self.weights_, 1.0], effects, [*(outcome_skill(fit) for fit in whole), np.nan], strict=True
            )
        ]
        columns = ["weight", "dr_score", "r_score", "outcome_skill"]
        return pd.DataFrame(rows, columns=columns, index=pd.Index(names, name="learner"))

    def _predicted_of(self, frame: pd.DataFrame, X: Floats) -> Floats:
        joined = self._effects
        assert isinstance(joined, _Joined)  # noqa: S101 - what _fit_effects made
        return joined.on(frame[list(self.covariates_)])


def _is_learner(value: Any) -> bool:
    return isinstance(value, BaseEstimator) and hasattr(value, "fit") and hasattr(value, "predict") and hasattr(
        value, "held_out_rows"
    )  # fmt: skip
