"""The design of a match: for every mean wanted, whose outcomes stand for whose. No outcome is looked at."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from pandas_causal.errors import CausalDataError
from pandas_causal.kernels.arrays import Codes, Floats, Positions, Values
from pandas_causal.matching.distances import MatchingSpace, coordinates, distinct, logit, pooled_sd, strata_of
from pandas_causal.matching.matches import Matches, links_of_strata
from pandas_causal.matching.nearest import canonical_rank, nearest_caliper, nearest_links, without_replacement
from pandas_causal.matching.optimal import optimal_full, optimal_pairs
from pandas_causal.matching.settings import MatchSettings
from pandas_causal.matching.strata import coarsened, subclasses
from pandas_causal.models.linear import StandardisedMatrix
from pandas_causal.models.nuisance import Nuisance

__all__ = ["OTHER_ARM", "RowsToMatch", "Score", "Target", "match_targets"]

DISCARDED = "outside the common support (discard=)"
NO_STRATUM = "no row of the other arm in its exact stratum"
NO_CALIPER = "no row of the other arm within the caliper"
NONE_LEFT = "no free row of the other arm left"
NO_CELL = "no row of the other arm in its cell"
TOO_FEW = "fewer rows of the other arm within reach than ratio= asks for"
OTHER_ARM = "not matched in another arm"


@dataclass(frozen=True, eq=False)
class RowsToMatch:
    """Rows to match.

    Attributes
    ----------
    X : ndarray (n, q)
        Encoded covariates.
    names : sequence of str (q,)
    frame : DataFrame (n, p)
        Covariates as given, with the labels of the rows.
    codes : ndarray (n,)
    w : ndarray (n,)
        Sample weights.
    strata : mapping of str to ndarray (n,)
        Further labels that must be equal.
    """

    X: Floats
    names: Sequence[str]
    frame: pd.DataFrame
    codes: Codes
    w: Floats
    strata: Mapping[str, Values] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Score:
    """Propensities of one comparison.

    Attributes
    ----------
    rows : ndarray (m,)
        Rows of the arms compared.
    upper : int
        Code of the arm whose probability `values` holds.
    values : ndarray (m,) or None
        None where nothing asks for them.
    model, design : the model and what it was fitted on; None where propensities are known
    """

    rows: Positions
    upper: int
    values: Floats | None
    model: Nuisance | None = None
    design: StandardisedMatrix | None = None

    @property
    def known(self) -> Floats:
        """The values, where something asks for them."""
        assert self.values is not None  # noqa: S101 - settings that read them say so in `needs_propensity`
        return self.values


@dataclass(frozen=True, eq=False)
class Target:
    """One mean: the outcome of a population under an arm, and the rows that stand for those without it.

    Attributes
    ----------
    population : int or None
        Code of the arm it is made of; None: everyone.
    arm : int
    rows : ndarray (m,)
        Rows of the population that could be matched.
    links : Matches or None
        None where the population is the arm itself.
    space : MatchingSpace or None
        Over all rows of the sample.
    score : Score or None
    strata : bool
        Whether donors share a stratum rather than being near one by one.
    lost : mapping of str to ndarray
        Rows of the population left out, by reason.
    """

    population: int | None
    arm: int
    rows: Positions
    links: Matches | None = None
    space: MatchingSpace | None = None
    score: Score | None = None
    strata: bool = False
    lost: Mapping[str, Positions] = field(default_factory=dict)


def match_targets(
    targets: Sequence[tuple[int | None, int]],
    data: RowsToMatch,
    scores: Mapping[tuple[int | None, int], Score],
    settings: MatchSettings,
    random_state: int | None,
    least: int = 2,
) -> tuple[Target, ...]:
    """Match for every mean of a plan, and keep the rows of a population that are matched in all of its means.

    Parameters
    ----------
    targets : sequence of (population, arm)
    data : RowsToMatch
    scores : mapping of (population, arm) to Score
    settings : MatchSettings
    random_state : int or None
    least : int
        Matched rows of a population that are too few to go on with: fewer than 2 have no standard error.
    """
    rng = np.random.default_rng(random_state)
    each = [
        _of_arm(population, arm, data)
        if population == arm
        else _matched(population, arm, data, scores[population, arm], settings, rng, least)
        for population, arm in targets
    ]
    out = []
    for target in each:
        kept = [other.rows for other in each if other.population == target.population]
        if all(len(rows) == len(_everyone(target.population, data.codes)) for rows in kept):
            out.append(target)
            continue
        rows = kept[0]
        for others in kept[1:]:
            rows = np.intersect1d(rows, others, assume_unique=True)
        if len(rows) < least:
            raise CausalDataError(
                f"{len(rows):,} rows could be matched in every arm they are compared with; widen caliper=, coarsen the"
                " strata, or compare two arms at a time"
            )
        elsewhere = np.setdiff1d(target.rows, rows, assume_unique=True)
        lost = {**target.lost, OTHER_ARM: elsewhere} if len(elsewhere) and target.links is not None else target.lost
        links = None if target.links is None else target.links.take(np.isin(target.links.left, rows))
        out.append(replace(target, rows=rows, links=links, lost=lost))
    return tuple(out)


def _everyone(population: int | None, codes: Codes) -> Positions:
    return np.arange(len(codes)) if population is None else np.flatnonzero(codes == population)


def _of_arm(population: int | None, arm: int, data: RowsToMatch) -> Target:
    return Target(population, arm, np.flatnonzero(data.codes == arm))


@dataclass(frozen=True, eq=False)
class _Search:
    """Rows of a population that need donors (`left`), and rows of the arm that may be donors (`right`)."""

    population: int | None
    arm: int
    data: RowsToMatch
    space: MatchingSpace
    score: Score
    settings: MatchSettings
    left: Positions
    right: Positions

    @property
    def donor_weights(self) -> Floats:
        """Sample weights of the donors."""
        return self.data.w[self.right]

    @property
    def ranks(self) -> tuple[Positions, Positions]:
        """Ranks of both sides that break ties without looking at the order of rows."""
        left, right = (
            canonical_rank(self.space, self.data.X, self.data.frame.index, rows) for rows in (self.left, self.right)
        )
        return left, right


def _matched(
    population: int | None, arm: int, data: RowsToMatch, score: Score, settings: MatchSettings,
    rng: np.random.Generator, least: int,
) -> Target:  # fmt: skip
    """Match the rows of a population that are not of the arm to rows that are."""
    codes = data.codes
    in_arm = score.rows[codes[score.rows] == arm] if population is None else np.empty(0, dtype=np.intp)
    left, right = score.rows[codes[score.rows] != arm], score.rows[codes[score.rows] == arm]
    space = _space(data, score, settings)
    lost: dict[str, Positions] = {}
    outside = _outside(score, codes, settings.discard)
    if len(outside):
        beyond = np.intersect1d(left, outside)
        lost |= {DISCARDED: beyond} if len(beyond) else {}
        left, right, in_arm = (np.setdiff1d(rows, outside) for rows in (left, right, in_arm))
    if not len(left) or not len(right):
        raise CausalDataError(
            f"discard={settings.discard!r} leaves {len(left):,} rows to match and {len(right):,} to match them with;"
            " the arms hardly overlap: see df.causal.overlap"
        )
    links, missing = _LINKS[settings.method](_Search(population, arm, data, space, score, settings, left, right), rng)
    matched = links.matched
    lost |= _reasons(space, left[~matched], right, settings, missing)
    if matched.sum() < least:
        _refuse(space, left, right, lost, settings, int(matched.sum()))
    rows = np.sort(np.concatenate([left[matched], in_arm]))
    in_strata = settings.method in ("cem", "subclass", "full")
    return Target(population, arm, rows, links.take(matched), space, score, in_strata, lost)


# -- the methods: links, and why a target may have none ----------------------------------------------------------------


def _nearest(search: _Search, rng: np.random.Generator) -> tuple[Matches, str]:
    """Nearest donors, with replacement or one target after the other."""
    space, settings, left, right = search.space, search.settings, search.left, search.right
    if settings.replace:
        need = settings.ratio[1]
        if need > len(right):
            raise CausalDataError(f"ratio={need} asks for more rows than the {len(right):,} there are to match with")
        return nearest_links(space, left, right, settings.ratio, search.donor_weights), TOO_FEW
    _refuse_too_few_donors(search)
    links = without_replacement(
        space, left, right, settings.ratio, search.donor_weights, order=settings.order, hardness=_hardness(search),
        ranks=search.ranks, rng=rng,
    )  # fmt: skip
    return links, NONE_LEFT


def _hardness(search: _Search) -> Floats:
    """How hard every target is to match: its propensity to be in its own arm, or the distance of its nearest donor."""
    score, left = search.score, search.left
    if score.values is not None:
        values = score.values[np.searchsorted(score.rows, left)]
        return np.asarray(values if search.arm != score.upper else 1 - values)
    nearest = nearest_links(search.space, left, search.right, (1, 1), np.ones(len(search.right)))
    out = np.full(len(left), np.inf)
    out[nearest.matched] = nearest.distance[nearest.starts[nearest.left_cell[nearest.matched]]]
    return out


def _optimal_pairs(search: _Search, _rng: np.random.Generator) -> tuple[Matches, str]:
    """Pairs of the smallest total distance."""
    _refuse_too_few_donors(search)
    links = optimal_pairs(
        search.space, search.left, search.right, search.settings.ratio, search.donor_weights, search.ranks
    )
    return links, NONE_LEFT


def _full(search: _Search, _rng: np.random.Generator) -> tuple[Matches, str]:
    """Full matching, always asked from the same side: both means of an ATE then rest on the same sets."""
    space, left, right, ranks = search.space, search.left, search.right, search.ranks
    if search.arm == search.score.upper:
        right_sets, left_sets = optimal_full(space, right, left, ranks[::-1])
    else:
        left_sets, right_sets = optimal_full(space, left, right, ranks)
    return links_of_strata(left, right, left_sets, right_sets, search.donor_weights), NO_CALIPER


def _coarsened(search: _Search, _rng: np.random.Generator) -> tuple[Matches, str]:
    """Cells of coarsened covariates."""
    group = search.space.group
    both = np.sort(np.concatenate([search.left, search.right]))
    coarse = coarsened(search.data.frame.iloc[both], search.settings.cutpoints)
    cells = np.full(len(group), -1)
    cells[both] = strata_of([group[both], coarse], len(both))
    return _in_strata(search, cells)


def _subclassified(search: _Search, _rng: np.random.Generator) -> tuple[Matches, str]:
    """Subclasses of the propensity, with as many rows of the population each."""
    group, score = search.space.group, search.score
    aim = np.isin(score.rows, search.left) | (search.population is None)
    cells = np.full(len(group), -1)
    cells[score.rows] = subclasses(
        score.known, aim, search.settings.n_subclasses, group[score.rows], search.data.w[score.rows]
    )
    return _in_strata(search, cells)


def _in_strata(search: _Search, cells: Positions) -> tuple[Matches, str]:
    left, right = search.left, search.right
    return links_of_strata(left, right, cells[left], cells[right], search.donor_weights), NO_CELL


def _refuse_too_few_donors(search: _Search) -> None:
    each, left, right = search.settings.ratio[0], len(search.left), len(search.right)
    if left * each > right:
        raise CausalDataError(
            f"without replacement {left:,} rows x {each} cannot each have a row of their own among {right:,}; use"
            " replace=True, method='full', or the estimand of the smaller arm"
        )


_LINKS: Mapping[str, Callable[[_Search, np.random.Generator], tuple[Matches, str]]] = {
    "nearest": _nearest,
    "pair": _optimal_pairs,
    "full": _full,
    "cem": _coarsened,
    "subclass": _subclassified,
}


def _space(data: RowsToMatch, score: Score, settings: MatchSettings) -> MatchingSpace:
    """Coordinates, calipers and strata, over all rows (those of other arms stand at zero)."""
    n, rows = len(data.codes), score.rows
    everyone = len(rows) == n

    def spread(values: Floats) -> Floats:
        if everyone:
            return values
        out = np.zeros((n, *values.shape[1:]))
        out[rows] = values
        return out

    if settings.on_propensity:
        points = np.ascontiguousarray(score.known[:, None])
    else:
        distance = "euclidean" if settings.method == "cem" else settings.distance
        points = coordinates(distance, data.X[rows], data.codes[rows], data.w[rows])
    line = np.zeros(len(rows)) if score.values is None else logit(score.values)  # only calipers read it
    if settings.method in ("pair", "full") or not settings.replace:
        points, line = _settled(data.X[rows], points, line, settings.method in ("pair", "full"))
    group = strata_of([*(data.frame[name] for name in settings.exact), *data.strata.values()], len(data.codes))
    filters, widths = [], []
    if "propensity" in settings.caliper:
        filters.append(line)
        widths.append(settings.caliper["propensity"] * pooled_sd(line, data.codes[rows], data.w[rows]))
    for name, width in settings.caliper.items():
        if name == "propensity" or str(name) not in data.names:
            continue  # a constant covariate is never too far
        x = data.X[rows, data.names.index(str(name))]
        filters.append(x)
        widths.append(width * pooled_sd(x, data.codes[rows], data.w[rows]))
    columns = np.column_stack(filters) if filters else np.empty((len(rows), 0))
    along = spread(line) if "propensity" in settings.caliper else None
    monotone = along is None or settings.distance == "propensity"
    return MatchingSpace(spread(points), group, spread(columns), np.asarray(widths, dtype=float), along, monotone)


def _settled(X: Floats, points: Floats, line: Floats, optimal: bool) -> tuple[Floats, Floats]:
    """Coordinates without the noise of rounding, where ties must not be broken by it (it depends on the order of rows).

    Rows with the same covariates get one place. Optimal matching compares distances exactly, so its coordinates are
    rounded to 1e-11.
    """
    order, starts, cell = distinct(X if X.shape[1] else np.zeros((len(X), 1)))
    example = order[starts[:-1]][cell]
    points, line = points[example], line[example]
    return (np.round(points, 11), np.round(line, 11)) if optimal else (points, line)


def _outside(score: Score, codes: Codes, discard: str | None) -> Positions:
    """Rows outside the range of propensities of the other arm."""
    if discard is None:
        return np.empty(0, dtype=np.intp)
    upper = codes[score.rows] == score.upper
    out = np.zeros(len(upper), dtype=bool)
    for side, inside in (("treated", upper), ("control", ~upper)):
        if discard in (side, "both"):
            low, high = score.known[~inside].min(), score.known[~inside].max()
            out |= inside & ((score.known < low) | (score.known > high))
    return score.rows[out]


def _reasons(
    space: MatchingSpace, alone: Positions, right: Positions, settings: MatchSettings, missing: str
) -> dict[str, Positions]:
    """Why targets have no match."""
    if not len(alone):
        return {}
    if settings.method in ("cem", "subclass"):
        return {missing: alone}
    no_stratum = ~np.isin(space.group[alone], space.group[right])
    out = {NO_STRATUM: alone[no_stratum]}
    rest = alone[~no_stratum]
    near = nearest_links(space, rest, right, (1, 1), np.ones(len(right))).matched if len(rest) else np.empty(0, bool)
    out[NO_CALIPER] = rest if missing == NO_CALIPER else rest[~near]
    if missing != NO_CALIPER:
        out[missing] = rest[near]
    return {reason: rows for reason, rows in out.items() if len(rows)}


def _refuse(
    space: MatchingSpace, left: Positions, right: Positions, lost: Mapping[str, Positions], settings: MatchSettings,
    n_matched: int,
) -> None:  # fmt: skip
    """Say that nothing (or a single row, of which no error can be had) could be matched, why, and what would help."""
    parts = "; ".join(f"{len(rows):,} rows: {reason}" for reason, rows in lost.items())
    help_ = "coarsen the strata, or leave some of exact= out"
    if NO_CALIPER in lost:
        help_ = "widen caliper="
        if len(settings.caliper) == 1 and len(space.widths) == 1:
            name, width = next(iter(settings.caliper.items()))
            reach = nearest_caliper(space, left, right, [float(space.widths[0]) / width])
            if reach:
                help_ = (
                    f"the smallest caliper that keeps any is {_up(reach['some']):g}, the smallest that keeps all that"
                    f" have a row in their stratum is {_up(reach['all']):g} ({name}, in standard deviations)"
                )
    which = "none" if not n_matched else "only 1"
    raise CausalDataError(f"{which} of the {len(left):,} rows could be matched ({parts}); {help_}")


def _up(x: float) -> float:
    """Four significant digits, rounded up, so that a caliper of the printed size keeps the row."""
    digit = 10.0 ** (np.floor(np.log10(x)) - 3) if x > 0 else 1.0
    return float(np.ceil(x / digit) * digit)
