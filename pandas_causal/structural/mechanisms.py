"""Mechanisms: how a node gets its value from its parents and its noise, ``x = f(parents, u)``.

Each kind does three things with noise: draw it, turn it into a value, and recover it from a value that was observed.
The last is abduction, the first of Pearl's three steps to a counterfactual.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
import pandas as pd

from pandas_causal.errors import CausalArgumentError, CausalDataError, CausalError
from pandas_causal.graphs.node_columns import Column
from pandas_causal.kernels.arrays import Floats, Positions, Values
from pandas_causal.structural.coupling import argmax_values, gumbel_posterior, invert_cdf, uniform_posterior

__all__ = ["Additive", "Discrete", "DiscreteNoise", "Empirical", "Fitted", "Mechanism", "Own", "Parents", "Skill"]


class Mechanism:
    """A mechanism of your own, ``x = f(parents, u)`` with u drawn independently of all other nodes' noise.

    Subclass it and pass an instance: ``StructuralModel(g, mechanisms={"y": Mine()})``. Parents come as a DataFrame in
    the dtypes of the frame fitted, one column per parent; randomness comes from the generator given, and from nowhere
    else.
    """

    def fit(self, parents: pd.DataFrame, values: pd.Series[Any]) -> Self:
        """Learn from the rows observed; a mechanism that is known returns itself."""
        return self

    def draw(self, n: int, rng: np.random.Generator) -> Values:
        """Draw the noise of n units, an array of n rows."""
        raise NotImplementedError

    def value(self, parents: pd.DataFrame, noise: Values) -> Any:
        """Return the values (n,) of units with these parents and this noise."""
        raise NotImplementedError

    def noise(self, parents: pd.DataFrame, values: pd.Series[Any], rng: np.random.Generator) -> Values:
        """Return noise that is consistent with the values observed; draw it where several are."""
        raise CausalError(f"{type(self).__name__} has no noise(), which counterfactuals need; do() does without")


class DiscreteNoise(Mechanism):
    """A known mechanism whose noise takes finitely many values: abduction is by enumeration, and exact.

    Parameters
    ----------
    function : callable
        ``function(parents, u) -> values (n,)``: a DataFrame of n rows and one value of the noise.
    support : sequence
        Values of the noise.
    probabilities : sequence of float
        Their probabilities, which sum to 1.
    """

    def __init__(
        self, function: Callable[[pd.DataFrame, Any], Any], support: Sequence[Any], probabilities: Sequence[float]
    ) -> None:
        self.function = function
        self.support = support
        self.probabilities = probabilities

    def fit(self, parents: pd.DataFrame, values: pd.Series[Any]) -> Self:
        """Check the probabilities; nothing is learned."""
        p = np.asarray(self.probabilities, dtype=float)
        if len(p) != len(self.support) or not (p >= 0).all() or abs(p.sum() - 1) > 1e-9:
            raise CausalArgumentError(
                f"probabilities must be {len(self.support)} numbers of at least 0 that sum to 1; got {list(p)}"
            )
        return self

    def draw(self, n: int, rng: np.random.Generator) -> Values:
        """Draw positions in the support."""
        return rng.choice(len(self.support), size=n, p=np.asarray(self.probabilities, dtype=float))

    def value(self, parents: pd.DataFrame, noise: Values) -> Any:
        """Values of units by their noise."""
        out = np.empty(len(noise), dtype=object)
        for k, u in enumerate(self.support):
            rows = noise == k
            if rows.any():
                out[rows] = np.asarray(self.function(parents[rows], u), dtype=object)
        return out

    def noise(self, parents: pd.DataFrame, values: pd.Series[Any], rng: np.random.Generator) -> Values:
        """Draw from ``P(u | parents, value)``, proportional to ``P(u) 1{f(parents, u) = value}``."""
        observed = values.astype(object).to_numpy()
        fits = [np.asarray(self.function(parents, u), dtype=object) == observed for u in self.support]
        posterior = np.where(np.stack(fits, axis=1), np.asarray(self.probabilities, dtype=float), 0.0)
        total = posterior.sum(axis=1)
        if (total <= 0).any():
            raise CausalDataError(
                f"{values.name}: {int((total <= 0).sum()):,} values are impossible for this mechanism"
            )
        return invert_cdf(posterior / total[:, None], rng.random(len(values)))


@dataclass(frozen=True, eq=False)
class Parents:
    """Values of a node's parents, as the matrix that models read and, for a mechanism of the user's, as a frame."""

    features: Floats
    frame: Callable[[], pd.DataFrame]

    def __len__(self) -> int:
        return len(self.features)


@dataclass(frozen=True)
class Skill:
    """How a mechanism predicts rows that it has not seen.

    Attributes
    ----------
    model : str
        What was chosen.
    loss_kind : str
    loss, baseline : float
        Held-out loss, and that of the mean or the shares alone.
    """

    model: str
    loss_kind: str
    loss: float
    baseline: float


class Fitted(Protocol):
    """What the model asks of the mechanism of a node, on arrays."""

    @property
    def skill(self) -> Skill:
        """Held-out loss beside that of a model without parents."""
        ...

    def draw(self, n: int, rng: np.random.Generator) -> Values:
        """Noise of n units (n,)."""
        ...

    def value(self, parents: Parents, noise: Values) -> Values:
        """Value of the node (n,)."""
        ...

    def noise(self, parents: Parents, values: Values, rng: np.random.Generator) -> Values:
        """Noise that gives the observed values (n,)."""
        ...

    def expected(self, parents: Parents, noise: Values) -> Floats:
        """Value as a number (n,); its mean over the noise where that is known."""
        ...

    def residual(self, parents: Parents, values: Values, rng: np.random.Generator) -> Floats | None:
        """Noise on a scale that independence tests can use (n,); None where there is none."""
        ...


@dataclass(frozen=True, eq=False)
class Empirical:
    """A root: its noise is its value, drawn from the values observed.

    Attributes
    ----------
    pool : ndarray (m,)
        Values observed.
    numbers : ndarray or None
        Levels as numbers, for a discrete root.
    """

    pool: Values
    numbers: Floats | None
    skill: Skill

    def draw(self, n: int, rng: np.random.Generator) -> Values:
        """Draw with replacement."""
        return self.pool[rng.integers(len(self.pool), size=n)]

    def value(self, parents: Parents, noise: Values) -> Values:
        """Return the noise itself."""
        return noise

    def noise(self, parents: Parents, values: Values, rng: np.random.Generator) -> Values:
        """Return the value itself."""
        return values

    def expected(self, parents: Parents, noise: Values) -> Floats:
        """Value as a number."""
        return np.asarray(noise if self.numbers is None else self.numbers[noise], dtype=float)

    def residual(self, parents: Parents, values: Values, rng: np.random.Generator) -> Floats | None:
        """Return the value: a root has no parents its noise could depend on."""
        return np.asarray(values, dtype=float)


@dataclass(frozen=True, eq=False)
class Additive:
    """Additive noise: ``x = f(parents) + u``.

    Attributes
    ----------
    predict : callable
        f, on features (n, q).
    pool : ndarray (m,)
        Noise to draw from: held-out residuals, which a flexible model does not make too small.
    held_out : tuple of ndarray, or None
        Positions of the fitted rows that have held-out residuals, and those.
    """

    predict: Callable[[Parents], Floats]
    pool: Floats
    skill: Skill
    held_out: tuple[Positions, Floats] | None = None

    def draw(self, n: int, rng: np.random.Generator) -> Values:
        """Draw residuals with replacement."""
        return self.pool[rng.integers(len(self.pool), size=n)]

    def value(self, parents: Parents, noise: Values) -> Values:
        """Prediction plus noise."""
        return self.predict(parents) + noise

    def noise(self, parents: Parents, values: Values, rng: np.random.Generator) -> Values:
        """Residual: what the parents do not explain."""
        return values - self.predict(parents)

    def expected(self, parents: Parents, noise: Values) -> Floats:
        """Value: it is known given the noise."""
        return self.predict(parents) + noise

    def residual(self, parents: Parents, values: Values, rng: np.random.Generator) -> Floats | None:
        """Residual, which is independent of the parents if the mechanism is right."""
        return np.asarray(values - self.predict(parents))


@dataclass(frozen=True, eq=False)
class Discrete:
    """A discrete node: ``P(x | parents)`` and a coupling of its values under different parents.

    Attributes
    ----------
    predict : callable
        Probabilities (n, K), on features (n, q).
    n_classes : int
    numbers : ndarray (K,) or None
        The levels as numbers, where they are.
    coupling : {"monotone", "gumbel"}
    held_out : tuple of ndarray, or None
        Positions of the fitted rows that have held-out probabilities, and those.
    """

    predict: Callable[[Parents], Floats]
    n_classes: int
    numbers: Floats | None
    coupling: str
    skill: Skill
    held_out: tuple[Positions, Floats] | None = None

    def draw(self, n: int, rng: np.random.Generator) -> Values:
        """Draw a uniform (n,), or Gumbels (n, K)."""
        return rng.random(n) if self.coupling == "monotone" else rng.gumbel(size=(n, self.n_classes))

    def value(self, parents: Parents, noise: Values) -> Values:
        """Class by the coupling."""
        probability = self.predict(parents)
        return invert_cdf(probability, noise) if self.coupling == "monotone" else argmax_values(probability, noise)

    def noise(self, parents: Parents, values: Values, rng: np.random.Generator) -> Values:
        """Draw noise that gives the class observed."""
        posterior = uniform_posterior if self.coupling == "monotone" else gumbel_posterior
        return posterior(self.predict(parents), values, rng)

    def expected(self, parents: Parents, noise: Values) -> Floats:
        """Mean of the levels given the parents: no noise is drawn where its average is known."""
        if self.numbers is None:
            raise CausalError("the levels of this node are no numbers, so that they have no mean")
        return self.predict(parents) @ self.numbers

    def residual(self, parents: Parents, values: Values, rng: np.random.Generator) -> Floats | None:
        """Randomised quantile residual (Dunn and Smyth 1996): uniform whatever the parents, if the model is right."""
        return uniform_posterior(self.predict(parents), values, rng)


@dataclass(frozen=True, eq=False)
class Own:
    """The user's own mechanism, between arrays and the frames that it reads."""

    mechanism: Mechanism
    column: Column
    numbers: Floats | None

    @property
    def skill(self) -> Skill:
        """Nothing is known of its losses."""
        return Skill(type(self.mechanism).__name__, "", np.nan, np.nan)

    def draw(self, n: int, rng: np.random.Generator) -> Values:
        """Draw by the user's function."""
        return self._rows(self.mechanism.draw(n, rng), n, "draw")

    def value(self, parents: Parents, noise: Values) -> Values:
        """Value by the user's function, read as the node's own."""
        raw = self._rows(self.mechanism.value(parents.frame(), noise), len(parents), "value")
        if self.column.discrete:
            return self.column.read(pd.Series(raw, name=self.column.name))
        out = np.asarray(raw, dtype=float)
        if not np.isfinite(out).all():
            raise CausalDataError(
                f"{self.column.name}: the mechanism gave {int((~np.isfinite(out)).sum()):,} NaN or inf"
            )
        return out

    def noise(self, parents: Parents, values: Values, rng: np.random.Generator) -> Values:
        """Noise by the user's function."""
        frame = parents.frame()
        observed = self.column.write(values, frame.index, exact=True)
        return self._rows(self.mechanism.noise(frame, observed, rng), len(parents), "noise")

    def expected(self, parents: Parents, noise: Values) -> Floats:
        """Value as a number."""
        values = self.value(parents, noise)
        if self.column.discrete and self.numbers is None:
            raise CausalError("the levels of this node are no numbers, so that they have no mean")
        return values if self.numbers is None else self.numbers[values]

    def residual(self, parents: Parents, values: Values, rng: np.random.Generator) -> Floats | None:
        """Noise where it is one number; None where nothing is known of it."""
        if type(self.mechanism).noise is Mechanism.noise:
            return None
        noise = self.noise(parents, values, rng)
        return np.asarray(noise, dtype=float) if noise.ndim == 1 and noise.dtype.kind in "fiub" else None

    def _rows(self, out: Any, n: int, quantity: str) -> Values:
        array = np.asarray(out)
        if array.ndim == 0 or len(array) != n:
            size = len(array) if array.ndim else 1
            raise CausalDataError(f"{self.column.name}: {quantity}() of its mechanism gave {size:,} rows for {n:,}")
        return array
