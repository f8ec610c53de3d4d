"""What came of a match: weights by contrast, pairs and sets by label, rows left out by reason, balance."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from pandas_causal.arms.balance import BALANCE_LIMIT, balance, difference_in_words, largest_difference
from pandas_causal.arms.overlap import effective_sample_size
from pandas_causal.arms.sample import Sample
from pandas_causal.effect.check import Check
from pandas_causal.inputs.arms import Arms
from pandas_causal.kernels.arrays import Codes, Floats
from pandas_causal.matching.design import OTHER_ARM, Target
from pandas_causal.matching.variance import usage
from pandas_causal.models.nuisance import Nuisance

__all__ = [
    "balance_note",
    "largest_smd",
    "learner_note",
    "matched_frame",
    "matching_check",
    "population_text",
    "support_check",
    "unmatched_frame",
    "weighted_balance",
    "weights_by_contrast",
]

UNUSED = "not needed as a match"


def weights_by_contrast(targets: Sequence[Target], w: Floats, codes: Codes, n_arms: int) -> Floats:
    """Weight of every row in every contrast (n, K - 1); a matched row of the population has its own weight."""
    out = np.zeros((len(codes), n_arms - 1))
    for target in targets:
        v, used, _ = usage(target, w)
        weight = np.where(codes == target.arm, v + used, 0.0) * w[target.rows].sum()
        contrasts = [target.population] if target.population else [target.arm] if target.arm else range(1, n_arms)
        for t in contrasts:
            if target.arm in (0, t):
                out[:, t - 1] += weight
    return out


def largest_smd(X: Floats, codes: Codes, by_contrast: Floats) -> float:
    """Largest absolute standardised difference after matching, over covariates and contrasts."""
    worst = 0.0
    for t in range(1, by_contrast.shape[1] + 1):
        rows = np.flatnonzero((codes == 0) | (codes == t))
        worst = max(worst, largest_difference(X[rows], (codes[rows] == t).astype(np.intp), by_contrast[rows, t - 1]))
    return worst


def balance_note(sample: Sample, by_contrast: Floats) -> list[str]:
    """A note where the balance check fails."""
    worst = largest_smd(sample.encoder.every_level.on(sample.X), sample.codes, by_contrast)
    if worst <= BALANCE_LIMIT:
        return []
    return [
        (
            "the arms are not balanced after matching: the largest standardised difference is"
            f" {difference_in_words(worst)}, above {BALANCE_LIMIT:g} (see diagnostics['balance']; bias_adjust=True, a"
            " caliper, or another distance may help)"
        )
    ]


def learner_note(models: Iterable[Nuisance | None]) -> list[str]:
    """A note where rows are matched on a flexible model's score of the very rows it was fitted to."""
    for model in models:
        if model is None or model.logistic is not None or model.chosen[0] in ("linear", "ridge"):
            continue
        fitted = getattr(model.predict[0], "model", None)
        steps = getattr(fitted, "steps", None)
        last = fitted if steps is None else steps[-1][1]
        if hasattr(last, "coef_"):  # linear in what it is given
            continue
        return [
            (
                f"the propensity is a learner's ({model.chosen[0]}) for the rows it was fitted to: it overfits, so that"
                " rows look less alike than they are and matches balance the covariates badly; use"
                " propensity_model='linear' with bias_adjust=True, or pass out-of-fold scores as propensity="
            )
        ]
    return []


def weighted_balance(sample: Sample, by_contrast: Floats) -> Check:
    """Balance of every contrast under its own weights."""
    if by_contrast.shape[1] == 1:
        return sample.balance(by_contrast[:, 0])
    every, codes, levels = sample.encoder.every_level, sample.codes, sample.arms.levels
    X, names = every.on(sample.X), every.names
    checks = []
    for t in range(1, len(levels)):
        rows = np.flatnonzero((codes == 0) | (codes == t))
        both = (codes[rows] == t).astype(np.intp)
        checks.append(balance(X[rows], names, both, (levels[0], levels[t]), by_contrast[rows, t - 1]))
    text = "; ".join(f"{levels[t]}: {check.summary}" for t, check in enumerate(checks, start=1))
    return Check(all(check.passed for check in checks), pd.concat([check.table for check in checks]), text)


def _lost_rows(targets: Sequence[Target], t: int) -> pd.Series[Any]:
    """Reason by row, of the rows of contrast t's population that are left out."""
    reasons: dict[int, str] = {}
    for target in targets:
        inside = target.population == t if target.population else True
        if not inside:
            continue
        for reason, rows in target.lost.items():
            for row in rows.tolist():
                if reasons.get(row, OTHER_ARM) == OTHER_ARM:
                    reasons[row] = reason
    return pd.Series(reasons, dtype=object)


def unmatched_frame(targets: Sequence[Target], by_contrast: Floats, codes: Codes, arms: Arms) -> pd.DataFrame:
    """Count the rows without weight, by contrast, arm and reason."""
    rows = []
    for t in range(1, len(arms)):
        lost = _lost_rows(targets, t)
        for a in (0, t):
            empty = np.flatnonzero((codes == a) & (by_contrast[:, t - 1] == 0))
            why = lost.reindex(empty).fillna(UNUSED)
            for reason, n in why.value_counts().items():
                rows.append((arms.contrasts[t - 1], arms.levels[a], reason, int(n)))
    return pd.DataFrame(rows, columns=["contrast", "arm", "reason", "n"])


def matching_check(by_contrast: Floats, codes: Codes, arms: Arms) -> Check:
    """Rows, matched rows and effective sample size of every arm (Kish), by contrast."""
    rows = []
    for t in range(1, len(arms)):
        for a in (0, t):
            inside = by_contrast[codes == a, t - 1]
            used = int((inside > 0).sum())
            rows.append((arms.contrasts[t - 1], arms.levels[a], len(inside), used, effective_sample_size(inside)))
    table = pd.DataFrame(rows, columns=["contrast", "arm", "n", "matched", "effective_n"])
    parts = [
        f"{row.matched:,} of {row.n:,} rows of arm {row.arm} (effective {row.effective_n:,.1f})"
        for row in table.itertuples()
    ]
    return Check(None, table.set_index(["contrast", "arm"]), "matched: " + ", ".join(parts[:4]))


def support_check(targets: Sequence[Target]) -> Check:
    """Share of the target's rows that found a match, by comparison, where no propensity judges overlap.

    Returns
    -------
    Check
        Failed when over 5% of a target's rows have none.
    """
    rows = []
    for target in targets:
        if target.links is None:
            continue
        out = len(np.unique(np.concatenate([np.empty(0, dtype=np.intp), *target.lost.values()])))
        rows.append((target.population, target.arm, len(target.rows), out, out / max(len(target.rows) + out, 1)))
    table = pd.DataFrame(rows, columns=["population", "arm", "matched", "unmatched", "share_unmatched"])
    worst = float(table["share_unmatched"].max()) if len(table) else 0.0
    text = f"{100 * worst:.1f}% of target rows have no match (no propensity is fitted: nothing here uses one)"
    return Check(worst <= 0.05, table.set_index(["population", "arm"]), text)


def population_text(targets: Sequence[Target]) -> tuple[str, list[str]]:
    """The population the answer speaks of, and a note of what was left out."""
    notes = []
    rows = 0
    for population in dict.fromkeys(target.population for target in targets):
        members = [target for target in targets if target.population == population]
        rows += len(members[0].rows)
        by_reason: dict[str, set[int]] = {}
        for target in members:
            for reason, lost in target.lost.items():
                by_reason.setdefault(reason, set()).update(lost.tolist())
        seen: set[int] = set()
        for reason, lost_rows in sorted(by_reason.items(), key=lambda item: item[0] == OTHER_ARM):
            fresh = lost_rows - seen
            seen |= fresh
            if fresh:
                notes.append(f"{len(fresh):,} rows were left out: {reason}")
    if not notes:
        return "the population the rows were sampled from", []
    return f"rows like the {rows:,} that could be matched", notes


def matched_frame(
    targets: Sequence[Target], index: pd.Index, codes: Codes, arms: Arms, by_contrast: Floats, pairwise: bool
) -> pd.DataFrame:
    """Matches by label: pairs, or rows with the set they are in."""
    parts = []
    for target in targets:
        if target.links is None:
            continue
        t = target.population or target.arm or len(arms) - 1
        if not pairwise:
            if target.population is None and target.arm and len(arms) == 2:
                continue  # the other mean of an ATE has the same sets
            parts.append(_sets(target, index, codes, arms, by_contrast[:, t - 1], arms.contrasts[t - 1]))
            continue
        pairs = target.links.pairs()
        part = pd.DataFrame(
            {
                "target": index[pairs.left],
                "match": index[pairs.right],
                "match_arm": arms.levels[target.arm],
                "weight": pairs.weight,
                "distance": pairs.distance,
            }
        )
        if target.links.subclass is not None:
            of_row = np.full(len(codes), -1)
            of_row[target.links.left] = target.links.subclass
            part["subclass"] = of_row[pairs.left]
        parts.append(part)
    return pd.concat(parts, ignore_index=pairwise)


def _sets(target: Target, index: pd.Index, codes: Codes, arms: Arms, weight: Floats, contrast: str) -> pd.DataFrame:
    """Rows of sets or strata, with the number of the set, from 0."""
    links = target.links
    assert links is not None and links.subclass is not None and links.right_subclass is not None  # noqa: S101,PT018
    rows = np.concatenate([links.left, links.right])
    label = np.concatenate([links.subclass, links.right_subclass])
    keep = (label >= 0) & (weight[rows] > 0)
    order = np.argsort(rows[keep], kind="stable")
    rows, label = rows[keep][order], np.unique(label[keep][order], return_inverse=True)[1]
    columns = {"arm": [arms.levels[c] for c in codes[rows]], "subclass": label, "weight": weight[rows]}
    out = pd.DataFrame(columns, index=index[rows])
    if len(arms) > 2:
        out.insert(0, "contrast", contrast)
    return out
