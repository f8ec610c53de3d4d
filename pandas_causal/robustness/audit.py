"""Everything that can be looked at in a comparison of arms, in one table: verdict, evidence, what to do."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from html import escape
from itertools import pairwise
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pandas_causal.adjustment.balancing import EntropyBalancing
from pandas_causal.adjustment.doubly_robust import AIPW
from pandas_causal.adjustment.inverse_probability import IPW
from pandas_causal.adjustment.regression import RegressionAdjustment
from pandas_causal.effect.check import Check
from pandas_causal.effect.effect import Effect
from pandas_causal.effect.summary import digits
from pandas_causal.errors import CausalError, CausalWarning
from pandas_causal.inference.influence import Influence
from pandas_causal.inference.multiplicity import adjust_p_values
from pandas_causal.inference.reference import Student
from pandas_causal.inputs.arms import Arms, resolve_arms
from pandas_causal.inputs.column_rules import as_float
from pandas_causal.inputs.encoding import Encoder
from pandas_causal.kernels.arrays import Bools, Floats
from pandas_causal.robustness.refutation import Refutation, refute_effect

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Audit", "AuditQuestion", "audit_study"]

MOST_ROWS = 20_000
_BEYOND = 0.05
_LARGE = 0.5
_FEWEST, _HARDLY = 50, 0.01  # rows of a region, and the share of an arm that is hardly there
_MOST_SIDES = 600  # of which regions are made
_DRAWS, _FEW_DRAWS = 100, 30  # of a refuter: few where every draw is a fit of its own
_WIDTH = 118
_CLEAR, _CONCERN, _INFORMS, _CANNOT, _ASKED = (
    "no concern", "CONCERN", "for information", "not checked", "you must say",
)  # fmt: skip


@dataclass(frozen=True)
class AuditQuestion:
    """What is audited.

    Attributes
    ----------
    treatment, outcome : column
    covariates : tuple of columns
    cluster, sample_weight : column, optional
    negative_outcome : tuple of columns
        That treatment cannot move.
    graph : CausalGraph or None
    control : level, optional
    alpha : float
        Chance of any false alarm among the tests of a clean study (Holm).
    seed : int
    """

    treatment: Hashable
    outcome: Hashable
    covariates: tuple[Any, ...]
    cluster: Hashable = None
    sample_weight: Hashable = None
    negative_outcome: tuple[Any, ...] = ()
    graph: Any = None
    control: Hashable = None
    alpha: float = 0.05
    seed: int = 0


@dataclass(frozen=True, eq=False, repr=False)
class Audit(Check):
    """Result of ``df.causal.audit``; no concern is no proof.

    Attributes
    ----------
    passed : bool
        Whether no line raises a concern.
    table : DataFrame
        One row per check: verdict, evidence, what_to_do, p_value, p_adjusted (Holm over the tests), seconds.
    summary : str
    effect : Effect or None
        The default answer; None where there is none, which a line explains.
    specifications : DataFrame
        Estimates with intervals under other estimators: the specification curve.
    refutation : Refutation or None
    """

    effect: Effect | None = None
    specifications: pd.DataFrame = field(default_factory=pd.DataFrame)
    refutation: Refutation | None = None

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the specification curve: the same question under other estimators."""
        from pandas_causal.plotting.forest import draw_forest

        title = "the same question under other estimators, 95% intervals"
        return draw_forest(self.specifications, ax, xlabel="estimate", title=title)

    def __repr__(self) -> str:
        lines = wrap(self.summary, _WIDTH)
        if self.effect is not None:
            row = self.effect.table.iloc[0]
            ends = f"[{digits(row['conf_low'])}, {digits(row['conf_high'])}]"
            lines += wrap(f"{self.effect.estimand}: {digits(row['estimate'])} {ends}", _WIDTH)
        for name, row in self.table.iterrows():
            lines += ["", *wrap(f"{name}: {row['verdict']}. {row['evidence']}", _WIDTH, subsequent_indent="    ")]
            if row["what_to_do"]:
                lines += wrap(row["what_to_do"], _WIDTH, initial_indent="    -> ", subsequent_indent="    ")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        shown = self.table[["verdict", "evidence", "what_to_do"]]
        return f"<div><p><strong>{escape(self.summary)}</strong></p>{shown.to_html(border=0)}</div>"


@dataclass(frozen=True)
class _Line:
    """What one check found: a p-value decides it together with those of others, else its own verdict stands."""

    verdict: str
    evidence: str
    what_to_do: str = ""
    p_value: float = np.nan


@dataclass(eq=False)
class _Case:
    """A study, some of its rows, and the linear fits that the checks share."""

    frame: pd.DataFrame
    question: AuditQuestion
    effect: Effect | None
    trouble: str
    specifications: pd.DataFrame = field(default_factory=pd.DataFrame)
    refutation: Refutation | None = None

    @cached_property
    def complete(self) -> Bools:
        """Rows (n,) with treatment, outcome and roles."""
        q = self.question
        roles = [q.treatment, q.outcome, *(c for c in (q.cluster, q.sample_weight) if c is not None)]
        whole: Bools = self.frame[list(dict.fromkeys(roles))].notna().all(axis=1).to_numpy()
        if q.sample_weight is not None:
            whole = whole & (as_float(self.frame[q.sample_weight]) > 0)
        return whole

    @cached_property
    def positions(self) -> Any:
        """At most 20,000 of the complete rows, in their order."""
        rows = np.flatnonzero(self.complete)
        if len(rows) <= MOST_ROWS:
            return rows
        rng = np.random.default_rng(self.question.seed)
        return np.sort(rng.choice(rows, size=MOST_ROWS, replace=False))

    @cached_property
    def some(self) -> pd.DataFrame:
        """Those rows, every column."""
        return self.frame.iloc[self.positions]

    @property
    def of_rows(self) -> str:
        """Which rows a check read, for its evidence."""
        n = int(self.complete.sum())
        return "" if n <= MOST_ROWS else f" ({MOST_ROWS:,} of {n:,} rows, drawn at random)"

    @cached_property
    def arms(self) -> Arms:
        """Arms of those rows."""
        return resolve_arms(self.some[self.question.treatment], self.question.control)

    @cached_property
    def encoder(self) -> Encoder:
        """Of the covariates."""
        return Encoder.fit(self.some[list(self.question.covariates)])

    @cached_property
    def X(self) -> Floats:  # noqa: N802 - the field's letter
        """Encoded covariates (m, q)."""
        return self.encoder.transform(self.some[list(self.question.covariates)])

    def fit(self, estimator: Any, **changes: Any) -> Effect:
        """An effect of those rows by another estimator."""
        q = replace(self.question, **changes)
        roles = {"cluster": q.cluster, "sample_weight": q.sample_weight}
        named = {role: name for role, name in roles.items() if name is not None}
        columns = [*q.covariates, q.treatment, *named.values()]
        X = self.some[list(dict.fromkeys(columns))]
        effect: Effect = estimator.fit(X, self.some[q.outcome], treatment=q.treatment, **named).effect()
        assert effect.study is not None  # noqa: S101 - of a fit
        return replace(effect, study=replace(effect.study, frame=self.some))

    @cached_property
    def regression(self) -> Effect:
        """The plain coefficient."""
        return self.fit(RegressionAdjustment(interactions=False, control=self.question.control))

    @cached_property
    def linear(self) -> Effect:
        """AIPW with unpenalised linear models."""
        control = self.question.control
        return self.fit(AIPW(outcome_model="linear", propensity_model="linear", control=control))

    @property
    def draws(self) -> int:
        """Draws of a refuter of the coefficient."""
        return _DRAWS if self.question.cluster is None and len(self.some) <= MOST_ROWS // 4 else _FEW_DRAWS

    def nuisances(self) -> tuple[Floats, Floats]:
        """Propensities and outcome predictions (m, K) of those rows: of the default fit, or of linear models."""
        fitted = None if self.effect is None else self.effect.estimator
        if isinstance(fitted, AIPW) and len(fitted.propensity_) == int(self.complete.sum()):
            at = np.searchsorted(np.flatnonzero(self.complete), self.positions)
            return fitted.propensity_[at], fitted.outcome_predictions_[at]
        linear = self.linear.estimator
        return linear.propensity_, linear.outcome_predictions_


def audit_study(frame: pd.DataFrame, question: AuditQuestion, effect: Effect | None, trouble: str = "") -> Audit:
    """Run every check on a study of arms.

    Parameters
    ----------
    frame : DataFrame
    question : AuditQuestion
    effect : Effect or None
        The default answer.
    trouble : str
        Why there is none.

    Returns
    -------
    Audit
    """
    case = _Case(frame, question, effect, trouble)
    lines: dict[str, _Line] = {}
    seconds: dict[str, float] = {}
    for name, check in _CHECKS:
        start = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CausalWarning)
            try:
                lines[name] = check(case)
            except (CausalError, np.linalg.LinAlgError) as error:
                lines[name] = _Line(_CANNOT, f"could not be checked: {error}")
        seconds[name] = time.perf_counter() - start
    p = {name: line.p_value for name, line in lines.items() if not np.isnan(line.p_value)}
    adjusted = dict(zip(p, adjust_p_values(np.array(list(p.values())), "holm"), strict=True)) if p else {}
    rows = []
    for name, line in lines.items():
        verdict = line.verdict
        if name in adjusted:
            verdict = _CONCERN if adjusted[name] < question.alpha else _CLEAR
        told = "" if verdict == _CLEAR else line.what_to_do
        rows.append([verdict, line.evidence, told, line.p_value, adjusted.get(name, np.nan), seconds[name]])
    columns = ["verdict", "evidence", "what_to_do", "p_value", "p_adjusted", "seconds"]
    table = pd.DataFrame(rows, columns=columns, index=pd.Index(lines, name="check"))
    raised = list(table.index[table["verdict"] == _CONCERN])
    count = int(table["verdict"].isin([_CONCERN, _CLEAR]).sum())
    if raised:
        summary = f"{len(raised)} of {count} checks raise a concern: {', '.join(raised)}"
    else:
        summary = f"none of {count} checks raises a concern, which does not make the answer true"
    unsaid = list(table.index[table["verdict"].isin([_CANNOT, _ASKED])])
    summary += f"; not checked: {', '.join(unsaid)}" if unsaid else ""
    return Audit(not raised, table, summary, effect, case.specifications, case.refutation)


# -- assumptions that are drawn --------------------------------------------------------------------------------------


def _bad_controls(case: _Case) -> _Line:
    q = case.question
    if q.graph is None:
        return _Line(
            _ASKED,
            "data cannot tell a confounder from what the treatment moved, or from a common effect",
            f"say which of {_some(q.covariates)} were fixed before {q.treatment}: give graph=, or leave out the others",
        )
    from pandas_causal.errors import BadControlError, NotIdentifiedError
    from pandas_causal.identification.routes import check_controls

    try:
        notes = check_controls(case.frame, q.graph, q.treatment, q.outcome, list(q.covariates))
    except (BadControlError, NotIdentifiedError) as error:
        return _Line(_CONCERN, str(error), "adjust for a set that the graph allows: df.causal.identify(graph=...)")
    told = f"; {'; '.join(notes)}" if notes else ""
    return _Line(_CLEAR, f"by the graph, adjusting for {_some(q.covariates)} opens no path and closes all others{told}")


def _graph(case: _Case) -> _Line:
    if case.question.graph is None:
        return _Line(_CANNOT, "no graph was given", "draw one: its implied independences can be tested (graph=)")
    from pandas_causal.graphs.check_graph import check_graph

    check = check_graph(case.some, case.question.graph, alpha=case.question.alpha, missing="drop", n_jobs=1)
    if check.passed is None:
        return _Line(_INFORMS, check.summary)
    return _Line(
        _CLEAR,
        f"{check.summary}{case.of_rows}",
        "an arrow or a hidden cause is missing there, or an arrow is the wrong way: df.causal.check_graph(graph)",
        float(check.table["p_adjusted"].min()),
    )


# -- who is compared with whom ---------------------------------------------------------------------------------------


def _overlap(case: _Case) -> _Line:
    advice = "leave the region out (trim=), ask about whom both arms hold (IPW(estimand='ATO')), or get more data there"
    if case.effect is None:
        return _Line(_CONCERN, case.trouble, advice)
    e, _ = case.nuisances()
    beyond: Bools = np.asarray(((e < _BEYOND) | (e > 1 - _BEYOND)).any(axis=1))
    check = case.effect.diagnostics.get("overlap") if "overlap" in case.effect.diagnostics else None
    if check is None:
        from pandas_causal.arms.overlap import overlap_check

        check = overlap_check(e, case.arms.codes, case.arms.levels)
    alone = _region_of_one_arm(case)
    region = _region_beyond(case, beyond) if beyond.mean() > 0.01 else ""
    text = f"{check.summary}{alone or region}"
    return _Line(_CLEAR if check.passed and not alone else _CONCERN, text, advice)


def _region_beyond(case: _Case, beyond: Bools) -> str:
    """Rules of depth two for where propensities lie beyond 0.05 or 0.95."""
    found = _leaves(case, beyond, max(10, len(beyond) // 100))
    if found is None:
        return ""
    shares = pd.Series(beyond).groupby(found.leaf).mean()
    worst = int(shares.index[int(shares.to_numpy().argmax())])
    rules = found.rules(worst)
    return rules and (
        f"; least where {rules}: {shares[worst]:.0%} of {int((found.leaf == worst).sum()):,} rows there have a"
        f" propensity within {_BEYOND:g} of 0 or 1{case.of_rows}"
    )


def _region_of_one_arm(case: _Case) -> str:
    """The largest region of two rules in which an arm has hardly a row, whatever a model of propensities says of it."""
    levels, codes = case.encoder.every_level, case.arms.codes
    X = levels.on(case.X)
    sides, words = _half_spaces(X, levels.names)
    if len(words) < 2:
        return ""
    least = max(_FEWEST, len(X) // 50)
    inside = sides.T @ sides
    best, text = 0.0, ""
    for a in range(len(case.arms)):
        of_arm = sides[codes == a].T @ sides[codes == a]
        hardly = np.where((inside >= least) & (of_arm < _HARDLY * inside), inside, 0.0)
        i, j = np.unravel_index(int(hardly.argmax()), hardly.shape)
        if hardly.diagonal().max() == hardly[i, j]:  # one rule says it
            i = j = hardly.diagonal().argmax()
        if hardly[i, j] > best:
            best = float(hardly[i, j])
            rules = words[i] if i == j else f"{words[i]} and {words[j]}"
            text = (
                f"; where {rules}, {int(of_arm[i, j]):,} of {int(best):,} rows are of arm {case.arms.levels[a]}"
                f"{case.of_rows}"
            )
    return text


def _half_spaces(X: Floats, names: Sequence[str]) -> tuple[Any, list[str]]:
    """Rows on either side of quantiles of every column (n, sides) of 0 and 1, and the rule of each side."""
    columns, words = [], []
    cuts = int(np.clip(_MOST_SIDES // (2 * max(len(names), 1)), 1, 19))
    for j, name in enumerate(names[: _MOST_SIDES // 2]):
        for cut in np.unique(np.quantile(X[:, j], np.arange(1, cuts + 1) / (cuts + 1))):
            above = X[:, j] > cut
            if above.any():
                columns += [above, ~above]
                words += [f"{name} > {cut:.4g}", f"{name} <= {cut:.4g}"]
    return (np.column_stack(columns).astype(np.float32) if columns else np.empty((len(X), 0), np.float32)), words


@dataclass(frozen=True, eq=False)
class _Leaves:
    """A tree of depth two, and the leaf of every row."""

    tree: Any
    X: Floats
    names: tuple[str, ...]
    leaf: Any

    def rules(self, leaf: int) -> str:
        """The way to a leaf in words."""
        grown, words = self.tree.tree_, []
        path = self.tree.decision_path(self.X[self.leaf == leaf][:1]).indices
        for node, following in pairwise(path):
            name, cut = self.names[grown.feature[node]], float(grown.threshold[node])
            side = "<=" if following == grown.children_left[node] else ">"
            words.append(f"{name} {side} {cut:.4g}")
        return " and ".join(words)


def _leaves(case: _Case, label: Any, least: int) -> _Leaves | None:
    from sklearn.tree import DecisionTreeClassifier

    levels = case.encoder.every_level
    X = levels.on(case.X)
    if not X.shape[1] or 2 * least > len(X):
        return None
    tree = DecisionTreeClassifier(max_depth=2, min_samples_leaf=least, random_state=0).fit(X, label)
    return _Leaves(tree, X, tuple(levels.names), tree.apply(X))


def _balance(case: _Case) -> _Line:
    """Balance under the weights of the default's propensities, and where they leave much, under logistic ones."""
    if case.effect is None:
        return _Line(_CANNOT, "there is no answer whose weights could be looked at")
    e, _ = case.nuisances()
    text, left = _left_by(case, e)
    if not left:
        return _Line(_CLEAR, f"{text}{case.of_rows}")
    told = f"{text}; the largest is {left}{case.of_rows}"
    advice = "model the propensity better (products, curves), or balance it directly: EntropyBalancing"
    linear = case.linear.estimator.propensity_
    if e is not linear and not _left_by(case, linear)[1]:
        why = "; a logistic propensity would balance it, so that the answer leans on its outcome model there"
        return _Line(_INFORMS, f"{told}{why}", advice)
    return _Line(_CONCERN, told, advice)


def _left_by(case: _Case, propensity: Floats) -> tuple[str, str]:
    """What weights leave of the differences, in words, and the largest where it is beyond 0.1 and beyond chance."""
    from pandas_causal.arms.balance import balance
    from pandas_causal.arms.overlap import arm_weights, effective_sample_size

    codes = case.arms.codes
    w = None if case.question.sample_weight is None else as_float(case.some[case.question.sample_weight])
    weights = arm_weights("ATE", codes, np.clip(propensity, 0.01, 1), w)
    levels = case.encoder.every_level
    check = balance(levels.on(case.X), levels.names, codes, case.arms.levels, weights)
    after = check.table["smd_after"].abs()
    worths = [effective_sample_size(weights[codes == a]) for a in range(len(case.arms))]
    noise = float(np.sqrt(sum(1 / max(v, 1.0) for v in sorted(worths)[:2])))
    worst = float(after.max()) if len(after) else 0.0
    if worst <= max(0.1, noise):
        return check.summary, ""
    where = after.idxmax()
    return check.summary, " ".join(map(str, where)) if isinstance(where, tuple) else str(where)


def _missing(case: _Case) -> _Line:
    """Whether what is missing goes with the treatment."""
    q, frame = case.question, case.frame
    known = frame[q.treatment].notna().to_numpy()
    codes = resolve_arms(frame[q.treatment][known], q.control).codes
    found: list[tuple[float, Any, Floats]] = []
    gaps = False
    from scipy import stats

    for name in dict.fromkeys([q.outcome, *q.covariates]):
        absent = frame[name].isna().to_numpy()[known]
        gaps |= bool(absent.any())
        if not absent.any() or absent.all():
            continue
        table = np.array([np.bincount(codes[absent == v], minlength=int(codes.max()) + 1) for v in (False, True)])
        shares = table[1] / table.sum(axis=0)
        found.append((float(stats.chi2_contingency(table, correction=False).pvalue), name, shares))
    if not found:
        return _Line(_CLEAR, "no value of outcome or covariates is missing")
    p, name, shares = min(found, key=lambda f: f[0])
    return _Line(
        _CLEAR,
        f"{len(found)} columns have missing values; of {name} {shares.min():.1%} to {shares.max():.1%} by arm",
        "treatment, or what chose it, decides who is seen: model why values are missing, or bound what they may be",
        min(1.0, p * len(found)),
    )


# -- how the answer comes about --------------------------------------------------------------------------------------


def _prediction(case: _Case) -> _Line:
    """Errors of the outcome model on its own rows, and on those it is needed for: reweighted to everyone."""
    if case.effect is None:
        return _Line(_CANNOT, "there is no answer whose models could be looked at")
    e, m = case.nuisances()
    codes, y = case.arms.codes, as_float(case.some[case.question.outcome])
    own = m[np.arange(len(y)), codes]
    skill = 1 - float(np.square(y - own).mean()) / float(np.square(y - y.mean()).mean())
    p, words = [], []
    for a in range(len(case.arms)):
        inside = codes == a
        w = 1 / np.maximum(e[inside, a], 0.01)
        r = y[inside] - m[inside, a]
        wrong = float(w @ r / w.sum())
        error = float(np.sqrt(np.square(w * (r - wrong)).sum()) / w.sum())
        p.append(float(Student().p_value(np.array([wrong / error]), np.array([len(r) - 1.0]))[0]) if error > 0 else 1.0)
        words.append(f"{digits(wrong)} (standard error {digits(error)}) in arm {case.arms.levels[a]}")
    return _Line(
        _CLEAR,
        f"the outcome models explain {skill:.0%} of the variance out of sample, which says nothing of the effect; on"
        f" the rows that they are needed for they are off by {' and '.join(words)}{case.of_rows}",
        "the outcome model is wrong where the arms differ most: give it curves and products, or"
        " outcome_model='boosting'",
        min(1.0, min(p) * len(p)),
    )


def _parity(case: _Case) -> _Line:
    """Whether predicted counterfactuals lie within what was seen in that arm."""
    if case.effect is None:
        return _Line(_CANNOT, "there is no answer whose counterfactuals could be looked at")
    _, m = case.nuisances()
    codes, y = case.arms.codes, as_float(case.some[case.question.outcome])
    worst, where = 0.0, case.arms.levels[0]
    for a in range(len(case.arms)):
        low, high = y[codes == a].min(), y[codes == a].max()
        others = m[codes != a, a]
        share = float(((others < low) | (others > high)).mean())
        if share > worst:
            worst, where = share, case.arms.levels[a]
    text = "every predicted counterfactual lies within what was seen in its arm"
    if worst:
        text = f"{worst:.1%} of predicted outcomes under {where} lie beyond all that was seen in that arm"
    return _Line(
        _CONCERN if worst > 0.05 else _CLEAR, f"{text}{case.of_rows}",
        "the answer extrapolates: compare like with like first (df.causal.match, trim=)",
    )  # fmt: skip


def _multiverse(case: _Case) -> _Line:
    control = case.question.control
    estimators = {
        "regression coefficient": RegressionAdjustment(interactions=False, control=control),
        "regression by arm": RegressionAdjustment(control=control),
        "IPW, logistic": IPW(control=control),
        "AIPW, linear": AIPW(outcome_model="linear", propensity_model="linear", control=control),
        "entropy balancing": EntropyBalancing(estimand="ATE", control=control),
    }
    fits: dict[str, Effect] = {}
    for name, estimator in estimators.items():
        known = {"regression coefficient": "regression", "AIPW, linear": "linear"}
        try:
            fits[name] = getattr(case, known[name]) if name in known else case.fit(estimator)
        except CausalError:
            continue
    tables = {} if case.effect is None else {"the default": case.effect.table}
    tables |= {name: fit.table for name, fit in fits.items()}
    case.specifications = _one_row_each(tables)
    if len(fits) < 2:
        return _Line(_CANNOT, "fewer than two other estimators gave an answer")
    base = fits.pop("AIPW, linear") if "AIPW, linear" in fits else fits.pop(next(iter(fits)))
    p, apart = [], []
    for name, fit in fits.items():
        gap = fit.difference(base)
        floor = _LARGE * np.minimum(fit.rows.std_errors, base.rows.std_errors)  # near twins differ at second order
        z = gap.rows.array / np.maximum(gap.rows.std_errors, floor)
        p.append(float(Student().p_value(z, np.full(len(z), np.inf)).min()) * len(z))
        apart.append((float(np.abs(z).max()), name))
    low, high = case.specifications["estimate"].min(), case.specifications["estimate"].max()
    return _Line(
        _CLEAR,
        f"{len(case.specifications)} estimates from {digits(low)} to {digits(high)}; furthest from AIPW with linear"
        f" models: {max(apart)[1]}{case.of_rows}",
        "the answer depends on the model: a linear model misses what the others see, or weights are extreme",
        min(1.0, min(p) * len(p)),
    )


def _one_row_each(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """One below the other; labels of rows only where there are several."""
    out = pd.concat(tables, names=["estimator"])
    return out.droplevel(list(range(1, out.index.nlevels))) if all(len(t) == 1 for t in tables.values()) else out


def _influential(case: _Case) -> _Line:
    effect = case.effect
    u = None if effect is None else effect.uncertainty
    if effect is None or not isinstance(u, Influence) or u.contributions is None:
        return _Line(_CANNOT, "the answer has no contributions of rows")
    moved = u.contributions @ u.loadings[0]
    se, estimate = float(effect.rows.std_errors[0]), float(effect.rows.array[0])
    k = int(np.abs(moved).argmax())
    label = k if u.rows is None else u.rows.labels[k]
    towards = np.sort(moved * np.sign(estimate))[::-1]
    # rows that, left out, move the estimate across zero (Broderick, Giordano and Meager 2020)
    total = np.cumsum(towards)
    turn = int(np.searchsorted(total, abs(estimate))) + 1 if total.max() > abs(estimate) else len(moved)
    share = turn / len(moved)
    flips = "no set of rows" if turn >= len(moved) else f"{turn:,} rows ({share:.1%})"
    size = abs(float(moved[k])) / se
    return _Line(
        _CONCERN if size > _LARGE else _CLEAR,
        f"row {label!r} moves the estimate most, by {size:.2f} standard errors; leaving out {flips} would turn its"
        " sign",
        "look at that row; compare the answer without it, or with a bounded outcome",
    )


def _weights(case: _Case) -> _Line:
    check = case.regression.diagnostics["weights"]
    text = f"of a plain regression coefficient {check.summary}{case.of_rows}"
    fitted = None if case.effect is None else case.effect.estimator
    own = isinstance(fitted, RegressionAdjustment) and fitted.interactions is False
    if check.passed or not own:
        return _Line(_CLEAR if own else _INFORMS, text)
    return _Line(_CONCERN, text, "rows count with the wrong sign: use AIPW or a regression by arm (interactions=True)")


def _interference(case: _Case) -> _Line:
    """Whether the share of treated others in the cluster goes with the outcome, given one's own treatment."""
    q = case.question
    if q.cluster is None:
        return _Line(_CANNOT, "no cluster was given", "who could affect whom? name the groups: cluster=")
    treated = (case.arms.codes > 0).astype(float)
    groups = case.some[q.cluster]
    size = groups.groupby(groups).transform("size").to_numpy(dtype=float)
    others = (
        pd.Series(treated, index=groups.index).groupby(groups).transform("sum").to_numpy() - treated
    ) / np.maximum(size - 1, 1)
    inside = size > 1
    within = pd.Series(treated[inside]).groupby(groups.to_numpy()[inside]).std().max() if inside.any() else 0.0
    if not within > 0:
        return _Line(
            _CANNOT, f"treatment is the same for all of a {q.cluster}: effects on others cannot be told from it"
        )
    from pandas_causal.inference.influence import cluster_component

    Z = np.column_stack([others, np.ones(len(others)), treated, case.X])[inside]
    y, labels = as_float(case.some[q.outcome])[inside], groups.to_numpy()[inside]
    scale = Z.std(axis=0)
    used = np.flatnonzero((scale > 0) | (np.arange(Z.shape[1]) == 1))
    Z = Z[:, used] / np.where(scale > 0, scale, 1.0)[used]
    bread = np.linalg.pinv(Z.T @ Z)
    beta = bread @ (Z.T @ y)
    contributions = (Z @ bread[:, [0]]) * (y - Z @ beta)[:, None]
    part = cluster_component(contributions, [labels], p=1)
    se = float(np.sqrt(part.meat[0, 0]))
    p = float(Student().p_value(np.array([beta[0] / se]), np.array([part.df]))[0])
    return _Line(
        _CLEAR,
        f"a standard deviation more of treated others in the {q.cluster} goes with {digits(float(beta[0]))} (standard"
        f" error {digits(se)}) of {q.outcome}, given one's own treatment and covariates{case.of_rows}",
        "units affect one another: randomise or compare whole clusters, or model what others' treatment does",
        p,
    )


# -- what would overturn it ------------------------------------------------------------------------------------------


def _refuters(case: _Case) -> _Line:
    names = ["placebo_treatment", "subset", "zero_outcome"]
    asked = list(case.question.negative_outcome)
    count = case.draws
    settings: dict[str, Any] = {"progress": False, "random_state": case.question.seed, "n_simulations": count}
    case.refutation = refute_effect(case.regression, names, **settings)
    table = case.refutation.table
    p = table["p_value"].dropna()
    text = f"of a linear regression: {case.refutation.summary}{case.of_rows}"
    if table.loc["zero_outcome", "verdict"] == "refuted":
        return _Line(_CONCERN, text, str(table.loc["zero_outcome", "if_refuted"]))
    told = str(table["if_refuted"].loc[p.index].iloc[int(p.to_numpy().argmin())]) if len(p) else ""
    if not asked:
        text += "; none of these can see confounding"
    return _Line(_CLEAR, text, told, float(min(1.0, p.min() * len(p))))


def _functional_form(case: _Case) -> _Line:
    found = refute_effect(
        case.regression, "dummy_outcome", progress=False, random_state=case.question.seed, n_simulations=_FEW_DRAWS
    )
    row = found.table.iloc[0]
    if row["verdict"] == "could not run":
        return _Line(_CANNOT, row["detail"])
    text = (
        f"a linear regression finds {digits(row['new_estimate'])} where the outcome was simulated from the covariates"
        f" without an effect{case.of_rows}"
    )
    p, fitted = float(row["p_value"]), None if case.effect is None else case.effect.estimator
    if isinstance(fitted, RegressionAdjustment):
        return _Line(_CLEAR, text, "adjust with curves and products, or with AIPW, whose models are flexible", p)
    told = "" if p >= case.question.alpha else ": linear adjustment would not do, the default's models are flexible"
    return _Line(_INFORMS, f"{text} (p = {p:.2f}){told}")


def _negative_outcome(case: _Case) -> _Line:
    names = case.question.negative_outcome
    if not names:
        return _Line(
            _ASKED, "only a negative control can show confounding that nobody measured",
            "name outcomes that the treatment cannot move (before it, say): negative_outcome=",
        )  # fmt: skip
    p, words = [], []
    for name in names:
        rows = case.some[name].notna().to_numpy()
        kept = _Case(case.some[rows], case.question, None, "")
        table = kept.fit(AIPW(outcome_model="linear", propensity_model="linear"), outcome=name).table
        row = table.iloc[int(table["p_value"].argmin())]
        p.append(float(row["p_value"]) * len(table))
        words.append(f"{digits(row['estimate'])} [{digits(row['conf_low'])}, {digits(row['conf_high'])}] on {name}")
    return _Line(
        _CLEAR,
        f"effects that should be zero are estimated as {' and '.join(words)}{case.of_rows}",
        "something unmeasured moves both treatment and that outcome, and maybe yours: find it, or find another design",
        min(1.0, min(p) * len(p)),
    )


def sensitivity_check(effect: Effect) -> Check | None:
    """The sensitivity analysis of an effect, where its method answers."""
    try:
        found = effect.sensitivity()
    except CausalError:
        return None
    return found if isinstance(found, Check) else None


def _sensitivity(case: _Case) -> _Line:
    found, of = (None if case.effect is None else sensitivity_check(case.effect)), ""
    if found is None:
        found, of = sensitivity_check(case.regression), f" (of a linear regression{case.of_rows})"
    if found is None:
        return _Line(_CANNOT, "this method has no sensitivity analysis", "effect.refute('simulated_confounder')")
    return _Line(
        _INFORMS, f"{found.summary}{of}", "is there an unmeasured cause as strong as that? effect.sensitivity()"
    )


def _some(names: Sequence[Any]) -> str:
    listed = list(map(str, names))
    return ", ".join(listed[:6]) + (f" and {len(listed) - 6} more" if len(listed) > 6 else "") if listed else "nothing"


_CHECKS: tuple[tuple[str, Callable[[_Case], _Line]], ...] = (
    ("bad controls", _bad_controls),
    ("graph", _graph),
    ("negative outcome", _negative_outcome),
    ("overlap", _overlap),
    ("balance", _balance),
    ("missing values", _missing),
    ("interference", _interference),
    ("prediction", _prediction),
    ("counterfactual parity", _parity),
    ("functional form", _functional_form),
    ("multiverse", _multiverse),
    ("influential rows", _influential),
    ("outcome weights", _weights),
    ("refuters", _refuters),
    ("sensitivity", _sensitivity),
)
