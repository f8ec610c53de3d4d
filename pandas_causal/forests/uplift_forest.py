"""Uplift forest: trees that split where the arms of an experiment differ most, by the criteria of uplift modelling."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import pandas as pd
from scipy import special
from sklearn.utils.validation import check_is_fitted

from pandas_causal.arms.base import UNCONFOUNDED
from pandas_causal.arms.estimands import in_words, plan_estimand
from pandas_causal.arms.sample import Sample, supported
from pandas_causal.errors import CausalArgumentError, CausalDataError
from pandas_causal.forests.base import EffectForest, Grown, encoded_rows, even_trees, refuse_events
from pandas_causal.forests.growing import (
    UPLIFT,
    GrowthRules,
    Sampling,
    TreeShape,
    grow_forest,
    solve_uplift,
    uplift_sums,
)
from pandas_causal.forests.nuisances import Coded, default_tries
from pandas_causal.forests.trees import held_out_prune, node_rows, rule_of
from pandas_causal.heterogeneity.scoring import arm_scores
from pandas_causal.inputs.parameters import SHARE_OR_NONE, Legal, at_least, one_of, or_none
from pandas_causal.inputs.types import Covariates, Outcome, RoleLike
from pandas_causal.kernels.arrays import Floats
from pandas_causal.plotting.trees import draw_tree

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["UpliftForest"]

_CRITERIA = ("kl", "euclidean", "chi", "cts", "ddp", "iddp", "interaction")
_ONE_ARM = ("ddp", "iddp", "interaction")
_SHARES = ("kl", "chi")


class UpliftForest(EffectForest):
    """Uplift forest of an experiment: trees split by how far the arms' outcomes differ on either side.

    Effects at x are differences of the arms' mean outcomes, rows weighted by how often they share a leaf with x.
    Rests on an assignment that the covariates do not move, or on known `propensity` for its averages; of observed data
    use :class:`CausalForest`.

    Parameters
    ----------
    criterion : {"kl", "euclidean", "chi", "cts", "ddp", "iddp", "interaction"}
        Divergences of the treated arms' outcomes from the control's (Kullback-Leibler, squared Euclidean,
        chi-squared), of 0/1 outcomes ("euclidean" of any); contextual treatment selection: what giving everyone the
        best arm gains; the difference of differences of means, that beyond the node's own, and its squared t
        statistic, all three of two arms.
    normalise : bool
        Divide gains of the divergences and of "iddp" by how far a split tells the arms apart.
    n_estimators, min_samples_leaf, max_features, max_samples, honesty, honesty_fraction, equalize_clusters, control, \
    formula, random_state, n_jobs, progress
        As in :class:`CausalForest`.
    max_depth : int, optional
    prune_fraction : float, optional
        Share of a tree's held-out rows that take back splits whose differences they do not confirm.
    costs : dict of arm to number, optional
        Of an arm, in units of the outcome: criteria see means less costs. Not of "kl" and "chi".

    Attributes
    ----------
    effect_ : Effect
        Average effects.
    oob_effects_ : ndarray (n,) or (n, d)
    scores_ : ndarray (n, K)
    variable_importance_ : Series

    References
    ----------
    Rzepakowski and Jaroszewicz (2012), "Decision trees for uplift modeling with single and multiple treatments",
    Knowledge and Information Systems 32; Zhao, Fang and Simchi-Levi (2017), for "cts"; Hansotia and Rukstales (2002),
    for "ddp"; Rossler, Tilly and Schoder (2021), for "iddp"; Su et al. (2009), "Subgroup analysis via recursive
    partitioning", JMLR 10, for "interaction".

    Examples
    --------
    >>> UpliftForest(criterion="kl").fit(frame, y, treatment="offer").plot_tree(0)  # doctest: +SKIP
    """

    legal: ClassVar[Mapping[str, Legal]] = {
        "criterion": one_of(*_CRITERIA),
        "normalise": Legal(lambda v: isinstance(v, bool), "True or False"),
        "min_samples_leaf": at_least(1, "rows"),
        "max_depth": or_none(at_least(1)),
        "prune_fraction": SHARE_OR_NONE,
        "costs": Legal(lambda v: v is None or isinstance(v, Mapping), "None or a dict of arm to cost"),
    }

    def __init__(
        self,
        *,
        criterion: str = "euclidean",
        normalise: bool = True,
        n_estimators: int = 200,
        min_samples_leaf: int = 20,
        max_depth: int | None = None,
        max_features: float | None = None,
        max_samples: float = 0.5,
        honesty: bool = True,
        honesty_fraction: float = 0.5,
        prune_fraction: float | None = None,
        costs: Mapping[Any, float] | None = None,
        equalize_clusters: bool = False,
        control: Hashable = None,
        formula: str | None = None,
        random_state: int | None = 0,
        n_jobs: int | None = None,
        progress: bool = True,
    ) -> None:
        self.criterion = criterion
        self.normalise = normalise
        self.n_estimators = n_estimators
        self.min_samples_leaf = min_samples_leaf
        self.max_depth = max_depth
        self.max_features = max_features
        self.max_samples = max_samples
        self.honesty = honesty
        self.honesty_fraction = honesty_fraction
        self.prune_fraction = prune_fraction
        self.costs = costs
        self.equalize_clusters = equalize_clusters
        self.control = control
        self.formula = formula
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.progress = progress

    def fit(
        self,
        X: Covariates,
        y: Outcome = None,
        *,
        treatment: RoleLike = None,
        cluster: RoleLike = None,
        sample_weight: RoleLike = None,
        propensity: RoleLike = None,
        missing: str = "raise",
    ) -> Self:
        """Fit.

        Parameters
        ----------
        X : DataFrame, array-like (n, p) or None
            Covariates, and any roles given by name.
        y : array-like (n,)
            0/1 or numbers; see `criterion`.
        treatment : str or array-like (n,)
            Arms.
        cluster : str, array-like (n,) or list of up to four, optional
        sample_weight : str or array-like (n,), optional
        propensity : str, array-like (n,) or (n, K), optional
            Known assignment probabilities, for averages; the arms' shares by default.
        missing : {"raise", "drop"}

        Raises
        ------
        CausalDataError
            Everything that is wrong with the data, at once.
        CausalArgumentError
            For a criterion that these arms or outcomes do not have.
        """
        refuse_events(y)
        sample = self.prepare(
            X, y, treatment=treatment, missing=missing, control=self.control, cluster=cluster,
            sample_weight=sample_weight, propensity=propensity,
        )  # fmt: skip
        self._sample = sample
        cost = self._costs(sample)
        self._fits(sample)
        plan, rng = plan_estimand("ATE", sample.arms, sample.treatment), np.random.default_rng(self.random_state)
        rows = self._coded = encoded_rows(sample, self.formula)
        K, w = len(sample.arms), np.ones(len(sample)) if sample.w is None else sample.w
        indicators = (sample.codes[:, None] == np.arange(K)).astype(float)
        shape = TreeShape(UPLIFT, K - 1, 1, K, _CRITERIA.index(self.criterion), self.normalise)
        sums = uplift_sums(rows.ordered(w), rows.ordered(indicators), rows.ordered(sample.y))
        self._unit = np.ones(K - 1)
        self._grown = self._grow_pruned(sample, rows, sums, shape, cost, int(rng.integers(2**31 - 1)))
        shares = np.average(indicators, axis=0, weights=w)
        e = np.broadcast_to(shares, indicators.shape) if sample.propensity is None else sample.propensity
        _, e = supported("ATE", np.asarray(e), sample.codes, None, sample.arms.levels)
        self._e = e
        self.scores_ = arm_scores(sample.y, sample.codes, self._means, e)
        self.scores_of_effects_ = self.scores_[:, 1:] - self.scores_[:, [0]]
        checks, warned = self.overlap(sample, e, "ATE", out_of_fold=True, unpenalised=True, augmented=True)
        means = w @ self.scores_ / w.sum()
        self.effect_ = self.finish(
            sample, plan, means, w[:, None] * (self.scores_ - means) / w.sum(),
            estimand=in_words("ATE", sample.treatment, sample.outcome),
            std_error_method="doubly robust scores, out of bag, normal law",
            diagnostics=checks,
            warned=[*warned, *self._grown.notes],
            assumptions=(
                "random assignment: the covariates do not move who receives which arm, or `propensity` says how",
                UNCONFOUNDED[2],
            ),
            facts={"criterion": self.criterion, "n_trees": self._grown.forest.n_trees},
        )  # fmt: skip
        return self

    # -- trees -------------------------------------------------------------------------------------------------------

    def tree_table(self, tree: int = 0, level: float = 0.95) -> pd.DataFrame:
        """Nodes of one tree: rules, rows, and effects with intervals, from the rows that the leaves are estimated on.

        Parameters
        ----------
        tree : int
        level : float

        Returns
        -------
        DataFrame
            A row per node: parent, depth, rule (what leads to it), rows, share, and for every arm its effect with
            std_error, conf_low and conf_high.
        """
        check_is_fitted(self, "effect_")
        forest, rows = self._grown.forest, self._coded
        if not 0 <= tree < forest.n_trees:
            raise CausalArgumentError(f"tree={tree}: the forest has {forest.n_trees} trees, from 0")
        nodes = node_rows(forest, rows.codes, tree)
        sample = self._sample
        y, codes = rows.ordered(sample.y), rows.ordered(sample.codes.astype(float)).astype(int)
        w = np.ones(len(sample)) if sample.w is None else rows.ordered(sample.w)
        total = sum(w[nodes[0].rows])
        z = special.ndtri(0.5 + level / 2)
        out = []
        for node in nodes:
            own = node.rows
            record: dict[str, Any] = {
                "parent": node.parent, "depth": node.depth, "rule": rule_of(forest, node), "leaf": node.leaf,
                "rows": len(own), "share": w[own].sum() / total if total else np.nan,
            }  # fmt: skip
            mean, variance = _by_arm(y[own], codes[own], w[own], len(sample.arms))
            for a, name in enumerate(sample.arms.contrasts, 1):
                effect, error = mean[a] - mean[0], np.sqrt(variance[a] + variance[0])
                one = "" if len(sample.arms) == 2 else f" {name}"
                record |= {
                    f"effect{one}": effect, f"std_error{one}": error, f"conf_low{one}": effect - z * error,
                    f"conf_high{one}": effect + z * error,
                }  # fmt: skip
            out.append(record)
        return pd.DataFrame(out, index=pd.RangeIndex(len(out), name="node"))

    def tree_text(self, tree: int = 0) -> str:
        """One tree in lines: rules indented by depth, with rows and effects."""
        table = self.tree_table(tree)
        effects = [str(c) for c in table if str(c).startswith("effect")]
        records = table.to_dict("records")
        below: dict[int, list[int]] = {}
        for node, row in enumerate(records):
            below.setdefault(row["parent"], []).append(node)
        lines, waiting = [], [0]
        while waiting:
            node = waiting.pop()
            row = records[node]
            told = ", ".join(f"{c} {row[c]:.3g} (std error {row['std_error' + c[6:]]:.2g})" for c in effects)
            lines.append(f"{'    ' * row['depth']}{row['rule'] or 'all'}: {row['rows']:,} rows, {told}")
            waiting += sorted(below.get(node, []), reverse=True)
        return "\n".join(lines)

    def plot_tree(self, tree: int = 0, ax: Axes | None = None) -> Axes:
        """Draw one tree: rules, shares of rows, and effects with their intervals.

        Parameters
        ----------
        tree : int
        ax : matplotlib Axes, optional
        """
        return draw_tree(self.tree_table(tree), ax)

    # -- inside ------------------------------------------------------------------------------------------------------

    def _fits(self, sample: Sample) -> None:
        """Refuse criteria that these arms or outcomes do not have."""
        if self.criterion in _ONE_ARM and len(sample.arms) > 2:
            raise CausalArgumentError(
                f"criterion={self.criterion!r} compares two arms, and there are {len(sample.arms)}; use 'kl',"
                " 'euclidean', 'chi' or 'cts'"
            )
        if self.criterion in _SHARES and not np.isin(sample.y, (0.0, 1.0)).all():
            raise CausalDataError(
                f"criterion={self.criterion!r} compares shares, and {sample.outcome} is not 0/1; use 'euclidean',"
                " 'cts', 'ddp' or 'interaction'"
            )

    def _costs(self, sample: Sample) -> tuple[float, ...]:
        if not self.costs:
            return ()
        if self.criterion in _SHARES:
            raise CausalArgumentError(f"costs= has no meaning for criterion={self.criterion!r}; use 'cts' or 'ddp'")
        unknown = [arm for arm in self.costs if arm not in sample.arms.levels]
        if unknown:
            raise CausalArgumentError(f"costs={dict(self.costs)!r}: {unknown[0]!r} is no arm of {sample.treatment}")
        return tuple(float(self.costs.get(level, 0.0)) for level in sample.arms.levels)

    def _grow_pruned(
        self, sample: Sample, rows: Coded, sums: Floats, shape: TreeShape, cost: tuple[float, ...], seed: int
    ) -> Grown:
        n, p = rows.codes.shape
        trees, notes = even_trees(self.n_estimators)
        tried = default_tries(p) if self.max_features is None else float(self.max_features)
        tried = tried * p if isinstance(self.max_features, float) else tried
        sampling = Sampling.of(
            n, self.max_samples, self.honesty_fraction if self.honesty else 1.0, pairs=True, clusters=rows.clusters,
            equalise=self.equalize_clusters,
        )  # fmt: skip
        rules = GrowthRules(
            int(self.min_samples_leaf), 0.0, 0.0, tried, 1_000_000 if self.max_depth is None else self.max_depth, cost
        )
        forest = grow_forest(
            rows.codes, rows.binning, sums, shape, rules, sampling, trees, seed, n_jobs=self.n_jobs,
            words="trees" if self.progress else "",
        )  # fmt: skip
        if self.prune_fraction:
            forest = held_out_prune(forest, rows.codes, sums, self.prune_fraction)
        moments, _ = forest.moments(rows.codes, forest.bags(self.n_jobs), self.n_jobs)
        gone = ~np.isfinite(moments).all(axis=1)
        if gone.any():
            moments[gone] = forest.moments(rows.codes, None, self.n_jobs)[0][gone]
        overall = sums[:, : shape.n_moments].sum(axis=0)
        moments = _with_all_arms(moments, overall / overall[0])
        self._means = rows.in_rows(moments[:, 2::3] / moments[:, 1::3])
        return Grown(forest, rows.in_rows(solve_uplift(moments)[0][:, :, 0]), rules.least, None, notes)

    def _solved(self, moments: Floats) -> tuple[Floats, Floats]:
        return solve_uplift(moments)

    _means: Floats
    _e: Floats


def _with_all_arms(moments: Floats, overall: Floats) -> Floats:
    """Moments whose arms without rows are those of all rows."""
    out = moments.copy()
    for c in range(1, moments.shape[1], 3):
        absent = ~(out[:, c] > 0)
        out[absent, c : c + 3] = overall[c : c + 3]
    return out


def _by_arm(y: Floats, codes: Any, w: Floats, K: int) -> tuple[Floats, Floats]:
    """Mean of every arm and its variance; NaN for an arm without rows."""
    mean, variance = np.full(K, np.nan), np.full(K, np.nan)
    for a in range(K):
        at = codes == a
        total = w[at].sum()
        if total > 0:
            mean[a] = w[at] @ y[at] / total
            n = at.sum()
            if n > 1:
                variance[a] = np.square(w[at] * (y[at] - mean[a])).sum() / total**2 * n / (n - 1)
    return mean, variance
