"""StructuralModel: a graph with a mechanism for every node, and what follows from the two."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import replace
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator

from pandas_causal.effect.check import Check
from pandas_causal.effect.effect import Effect
from pandas_causal.errors import (
    AssumptionWarning,
    CausalArgumentError,
    GraphError,
    NotIdentifiedError,
    suggest,
    warn,
)
from pandas_causal.graphs.graph import CausalGraph, as_graph
from pandas_causal.graphs.node_columns import chosen_rows, read_columns, select_nodes, warn_of_dropped
from pandas_causal.inputs.parameters import check_settings, is_word
from pandas_causal.inputs.plain_columns import select_columns
from pandas_causal.kernels.arrays import Floats, Values
from pandas_causal.models.folds import label_order
from pandas_causal.structural.causation import tian_pearl_bounds
from pandas_causal.structural.fitted import FittedModel, in_given_order
from pandas_causal.structural.interventions import Intervention, in_order
from pandas_causal.structural.learning import LearningSettings, check_spec, treats_as_discrete
from pandas_causal.structural.mechanisms import Discrete
from pandas_causal.structural.simulation import Simulator
from pandas_causal.structural.why import Attributions

__all__ = ["StructuralModel"]

COUPLINGS = ("monotone", "gumbel")


class StructuralModel(Attributions, BaseEstimator):
    """A structural causal model: every node is a function of its parents and of noise that is independent of all else.

    ``x_j = f_j(parents_j, u_j)``. Numeric nodes have additive noise, ``f(parents) + u``; discrete ones (bools,
    categories, strings, numbers with two values, at most 10 whole ones) a classifier; roots their values. It rests on
    the graph, on no unobserved common cause, and, for counterfactuals, on the form of the mechanisms.

    Parameters
    ----------
    graph : CausalGraph, or what it reads
        Every node a column, or latent with at most one observed child.
    mechanisms : mapping of node to mechanism, optional
        For the nodes named; "auto" for the others. A mechanism is "linear" (logistic for discrete nodes), "ridge",
        "boosting" or "auto" (linear, unless boosting has a held-out loss lower by more than the standard error of the
        difference), "classifier" (the same, of a node read as discrete), "empirical" (roots), a scikit-learn regressor
        or classifier, a function of the DataFrame of parents (known, with additive noise), or a :class:`Mechanism`.
        "linear", "ridge" and regressors make whole numbers with over 2 values continuous.
    coupling : {"monotone", "gumbel"}
        How the values of a discrete node under different parents go together, which no data can tell. "monotone": one
        uniform per row, inverted through the ordered classes; "gumbel": the Gumbel-max model.
    random_state : int or None
        Seed of folds and learners, and of draws where a method is given none.
    n_jobs : int, optional
        The result is the same for any number.

    Attributes
    ----------
    columns_ : dict of node to Column
    simulator_ : Simulator
        The fitted mechanisms, in causal order.
    mechanisms_ : DataFrame
        One row per node: the model chosen, its held-out loss, the loss of the mean or the shares, and the skill.
    fitted_ : FittedModel
        The arrays of the fit.
    n_dropped_ : int
        Rows left out with ``missing="drop"``.

    References
    ----------
    Pearl (2009), Causality, chapter 7; Oberst and Sontag (2019), ICML, for the Gumbel-max coupling.
    """

    def __init__(
        self,
        graph: Any,
        mechanisms: Mapping[Any, Any] | None = None,
        *,
        coupling: str = "monotone",
        random_state: int | None = 0,
        n_jobs: int | None = None,
    ) -> None:
        self.graph = graph
        self.mechanisms = mechanisms
        self.coupling = coupling
        self.random_state = random_state
        self.n_jobs = n_jobs

    def fit(self, df: pd.DataFrame, *, missing: str = "raise") -> Self:
        """Fit the mechanism of every node to the rows of df; columns that are no nodes are left alone.

        Raises
        ------
        NotIdentifiedError
            If two observed nodes have an unobserved common cause.
        GraphError
            For nodes that are no columns.
        CausalDataError
            For missing or infinite values, all at once.
        """
        graph = self._observed_graph()
        check_settings({"random_state": self.random_state, "n_jobs": self.n_jobs})
        if not is_word(self.coupling, COUPLINGS):
            raise CausalArgumentError(f"coupling={self.coupling!r} is not known; use one of {list(COUPLINGS)}")
        order = tuple(graph.topological_order())
        specs = self._specs(order, {node: not graph.parents(node) for node in order})
        frame = select_nodes(df, order, missing)
        self.n_dropped_ = len(df) - len(frame)
        self.columns_ = read_columns(frame, {node: treats_as_discrete(spec) for node, spec in specs.items()})
        rank = {node: k for k, node in enumerate(frame.columns)}
        parents = {node: tuple(sorted(graph.parents(node), key=rank.__getitem__)) for node in order}
        index, row_order = frame.index, label_order(frame.index)
        if row_order is not None:  # learners must not see the order of rows
            frame = frame.iloc[row_order]
        seed = int(np.random.default_rng(self.random_state).integers(2**31 - 1))
        blank = FittedModel(
            columns=self.columns_,
            simulator=Simulator(order, parents, self.columns_, {}),
            factual={node: column.read(frame[node]) for node, column in self.columns_.items()},
            index=index,
            row_order=row_order,
            specs=specs,
            settings=LearningSettings(self.coupling, seed, self.n_jobs),
            n_dropped=self.n_dropped_,
        )
        mechanisms = {node: blank.learn(node, specs[node], blank.factual, blank.settings) for node in order}
        self.simulator_ = blank.simulator.with_mechanisms(mechanisms)
        self.fitted_ = replace(blank, simulator=self.simulator_)
        return self

    @property
    def mechanisms_(self) -> pd.DataFrame:
        """What was chosen for every node, and how it predicts rows it has not seen."""
        return self._fitted().mechanism_table()

    # -- rung two ----------------------------------------------------------------------------------------------------

    def sample(self, n: int, *, random_state: int | None = None) -> pd.DataFrame:
        """Draw n units from the model as it is."""
        return self.do({}, n=n, random_state=random_state)

    def do(
        self, interventions: Mapping[Any, Any], *, n: int | None = None, random_state: int | None = None
    ) -> pd.DataFrame:
        """Draw units from ``P(v | do(...))``.

        Parameters
        ----------
        interventions : mapping of node to what is done
            A value; ``Shift(amount)``; a function of the node's natural values (and, if it takes two arguments, of the
            frame of the nodes before it); a dict of value to probability, or a distribution with ``rvs``.
        n : int, optional
            How many; as many as were fitted by default.
        random_state : int, optional
            The model's own by default. The same seed gives every unit the same noise whatever is done.

        Returns
        -------
        DataFrame (n, nodes)
            In the order of the fitted columns and in their dtypes; numeric nodes with additive noise are float64.

        Raises
        ------
        OverlapError
            If the causes of a discrete node that is set to a value separate its two levels.

        Warns
        -----
        OverlapWarning
            If it hardly takes one of its levels where its causes are as they are.
        """
        fitted = self._fitted()
        size = len(fitted) if n is None else n
        if not isinstance(size, int | np.integer) or isinstance(size, bool) or size < 1:
            raise CausalArgumentError(f"n must be a whole number of at least 1; got {n!r}")
        done = fitted.read(interventions)
        self._check_overlap(done)
        state = fitted.simulator.sample(int(size), done, self._seed(random_state))
        return self._frame(state, pd.RangeIndex(int(size)), set())

    def effect(
        self,
        contrast: Mapping[Any, Any],
        *,
        outcome: Hashable,
        n_draws: int = 200,
        level: float = 0.95,
        random_state: int | None = None,
    ) -> Effect:
        """Average effect of one intervention against another: the g-formula with the fitted mechanisms.

        Where every mechanism between treatment and outcome is linear, the effect is a sum over paths of products of
        coefficients, and its uncertainty their influence functions (HC2). Otherwise rows are resampled `n_draws` times,
        the mechanisms between are refitted (the choice of models stays), and the interval is the percentiles'.

        Parameters
        ----------
        contrast : mapping of node to sequence
            ``{"medication": (0, 1)}`` is the effect of 1 against 0. Further values are further rows, all against the
            first; several nodes are set together. Each value is what :meth:`do` takes, or None: as it is.
        outcome : node
            Numeric or bool.
        n_draws : int
            Refits of the bootstrap.
        level : float
        random_state : int, optional

        Returns
        -------
        Effect

        Warns
        -----
        OverlapWarning
            If a discrete treatment hardly takes one of its levels where its causes are as they are: the fitted
            mechanisms then extrapolate.
        AssumptionWarning
            If a mechanism between is flexible (boosting, say): it shrinks effects, and intervals cover too rarely.
        """
        from pandas_causal.structural.effects import EffectSettings, model_effect

        check_settings({"n_draws": n_draws, "level": level})
        draws = EffectSettings(n_draws=n_draws, level=level, seed=self._seed(random_state), n_jobs=self.n_jobs)
        effect = model_effect(self._fitted(), contrast, outcome, draws)
        return replace(effect, estimator=self)

    # -- rung three --------------------------------------------------------------------------------------------------

    def counterfactual(
        self,
        df: pd.DataFrame,
        interventions: Mapping[Any, Any],
        *,
        rows: Any = None,
        missing: str = "raise",
        random_state: int | None = None,
    ) -> pd.DataFrame:
        """What these very rows would have been: abduction, action, prediction (Pearl 2009, theorem 7.1.7).

        A row that the intervention does not change is returned as it was, to the last digit. A discrete node below the
        intervention is drawn from its counterfactual distribution under the model's `coupling`.

        Parameters
        ----------
        df : DataFrame
            The rows; they need not be those fitted.
        interventions : mapping
            As in :meth:`do`.
        rows : array-like of bool (n,), or list of labels, optional
            Rows of df to answer for; each is what it is in the answer for all.
        missing : {"raise", "drop"}
            Rows where a node is missing: an error, or left out with a warning that counts them.
        random_state : int, optional
            Seed of the draws where the noise is not determined by the row.

        Returns
        -------
        DataFrame
            With df's index, and its columns that are nodes.

        Warns
        -----
        AssumptionWarning
            If a discrete node is below the intervention; with Tian and Pearl's bounds where treatment and node are
            binary.
        OverlapWarning, OverlapError
            As :meth:`do`.
        CausalWarning
            Of rows left out with ``missing="drop"``.
        """
        fitted = self._fitted()
        simulator, done = fitted.simulator, fitted.read(interventions)
        frame = select_nodes(df, simulator.order, missing)
        asked = chosen_rows(df.index, rows)
        complete = df[frame.columns].notna().all(axis=1).to_numpy()
        warn_of_dropped(int((asked & ~complete).sum()))
        asked = asked[complete]
        factual = {node: column.read(frame[node]) for node, column in self.columns_.items()}
        order = label_order(frame.index)
        if order is None:
            state = simulator.counterfactual(factual, done, self._seed(random_state))
        else:  # a row's draws go by its label
            rows = {node: values[order] for node, values in factual.items()}
            moved = {node: in_order(what, order) for node, what in done.items()}
            state = simulator.counterfactual(rows, moved, self._seed(random_state))
            state = {node: in_given_order(values, order) for node, values in state.items()}
        if not asked.all():
            frame = frame[asked]
            state, factual = ({n: values[asked] for n, values in part.items()} for part in (state, factual))
        if any(not np.array_equal(state[node], factual[node]) for node in done):
            self._check_overlap(done)
            self._warn_of_coupling(done)
        same = {node for node in simulator.order if np.array_equal(state[node], factual[node])}
        out = select_columns(self._frame(state, frame.index, same), frame.columns)
        for node in same:
            out[node] = frame[node]
        return out

    def probabilities_of_causation(self, *, treatment: Hashable, outcome: Hashable) -> pd.DataFrame:
        """Bounds of Tian and Pearl (2000) on PN, PS and PNS, which hold whatever the coupling.

        Parameters
        ----------
        treatment, outcome : node
            Binary; the later of the two levels is "treated" and "event".

        Returns
        -------
        DataFrame
            Rows PN (without treatment the event would not have happened, among treated with the event), PS (with
            treatment it would have, among untreated without it), PNS (both, of all); columns low and high.
        """
        fitted = self._fitted()
        if fitted.node(treatment) == fitted.node(outcome):
            raise CausalArgumentError(f"{treatment!r} is both treatment and outcome")
        for node in (treatment, outcome):
            column = self.columns_.get(node)
            if column is None or len(column.plain_levels) != 2:
                raise CausalArgumentError(f"probabilities of causation need two levels, and {node!r} is not binary")
        joint, untreated, treated = self._joint_and_means(treatment, outcome)
        return tian_pearl_bounds(joint, treated, untreated)

    def evaluate(self, df: pd.DataFrame, *, alpha: float = 0.05, random_state: int | None = None) -> Check:
        """Fit of every mechanism on df, and whether its noise is independent of its parents and of the other noises.

        For the fitted rows themselves, flexible models are judged by their held-out predictions. On new rows the error
        of the fit counts as well, so that as many new rows as were fitted find a right model wrong more often than
        `alpha`.

        Returns
        -------
        Check
            One row per node: loss, baseline and skill on df, ``p_parents`` and ``p_noises`` (random-feature tests, with
            Holm's correction over all of them). Failed: a p-value below `alpha`.
        """
        from pandas_causal.structural.model_check import check_model_fit

        check_settings({"level": alpha})
        return check_model_fit(self._fitted(), df, alpha, self._seed(random_state))

    # -- private -----------------------------------------------------------------------------------------------------

    def _observed_graph(self) -> CausalGraph:
        """Graph over observed nodes; refused where a cause of two of them is not observed."""
        drawn = as_graph(self.graph)
        graph = drawn.project() if drawn.latent else drawn
        pairs = sorted(tuple(sorted(map(str, pair))) for pair in graph.bidirected)
        if pairs:
            edges = ", ".join(f"{a} <-> {b}" for a, b in pairs[:5]) + (", ..." if len(pairs) > 5 else "")
            hidden = [str(node) for node in drawn.latent]
            cause = f" (through the latent {', '.join(hidden[:5])})" if hidden else ""
            raise NotIdentifiedError(
                f"an unobserved common cause ties {edges}{cause}: the noises are dependent, and no structural model can"
                " be fitted node by node. What the graph still identifies:"
                " found = g.identify(treatment=..., outcome=...); found.distribution(df)"
            )
        return graph

    def _specs(self, order: tuple[Any, ...], roots: Mapping[Any, bool]) -> dict[Any, Any]:
        mechanisms = {} if self.mechanisms is None else self.mechanisms
        if not isinstance(mechanisms, Mapping):
            raise CausalArgumentError(f"mechanisms is a dict of node to mechanism; got {type(mechanisms).__name__}")
        for node in mechanisms:
            if node not in order:
                raise GraphError(f"mechanisms names {node!r}, which is no observed node{suggest(node, order)}")
        specs = {node: mechanisms.get(node, "auto") for node in order}
        for node, spec in specs.items():
            check_spec(node, spec, roots[node])
        return specs

    def _seed(self, random_state: int | None) -> int | None:
        check_settings({"random_state": random_state})
        return self.random_state if random_state is None else random_state

    def _frame(self, state: Mapping[Any, Values], index: pd.Index, exact: set[Any]) -> pd.DataFrame:
        """Write the nodes, in the order of the fitted frame; additive noise makes a column float64."""
        from pandas_causal.structural.mechanisms import Empirical

        kept = {n for n, m in self.simulator_.mechanisms.items() if isinstance(m, Empirical)} | exact
        columns = {n: c.write(state[n], index, exact=n in kept) for n, c in self.columns_.items()}
        return pd.DataFrame(columns, index=index)

    def _joint_and_means(self, treatment: Hashable, outcome: Hashable) -> tuple[Floats, float, float]:
        """Shares (2, 2) of treatment and event, and the share of events without and with treatment of all."""
        factual = self._fitted().factual
        x = factual[treatment]
        mechanism: Any = self.simulator_.mechanisms[outcome]
        # the event as the number 1, whatever the levels are called
        simulator = self.simulator_.with_mechanisms({outcome: replace(mechanism, numbers=np.array([0.0, 1.0]))})
        worlds = [{treatment: Intervention(self.columns_[treatment], constant=k)} for k in (0, 1)]
        low, high = (float(simulator.expected(outcome, factual, world, 0).mean()) for world in worlds)
        # the model's own shares, which are consistent with its worlds: else the bounds could cross
        event = simulator.expected(outcome, factual, {}, 0)
        joint = np.array([[((1 - event) * (x == k)).mean(), (event * (x == k)).mean()] for k in (0, 1)])
        return joint, low, high

    def _check_overlap(self, done: Mapping[Any, Intervention]) -> None:
        """Positivity of what is set and has nodes below it, as for :meth:`effect`."""
        from pandas_causal.structural.effects import overlaps

        overlaps(self._fitted(), {node: what for node, what in done.items() if self.simulator_.below([node])})

    def _warn_of_coupling(self, done: Mapping[Any, Intervention]) -> None:
        """Say that counterfactuals of discrete nodes rest on a coupling, and what holds without it."""
        simulator = self.simulator_
        passing = [node for node, what in done.items() if what.needs_natural]
        below = [n for n in simulator.below(done, passing) if isinstance(simulator.mechanisms[n], Discrete)]
        if not below:
            return
        couplings = {"monotone": "the monotone coupling of its ordered classes", "gumbel": "the Gumbel-max coupling"}
        text = (
            f"counterfactuals of the discrete {', '.join(map(str, below[:5]))} rest on {couplings[self.coupling]},"
            " which no data can test (coupling= chooses)"
        )
        treatment = next(iter(done))
        if len(done) == 1 and done[treatment].constant is not None and len(self.columns_[treatment].plain_levels) == 2:
            for node in [n for n in below if len(self.columns_[n].plain_levels) == 2][:3]:
                text += "; " + self._bounds_in_words(treatment, done[treatment].constant, node)
        warn(text, AssumptionWarning)

    def _bounds_in_words(self, treatment: Hashable, value: int, node: Hashable) -> str:
        """Bounds for the rows that had the other treatment, those with the event and those without."""
        joint, untreated, treated = self._joint_and_means(treatment, node)
        row = "PN" if value == 0 else "PS"
        as_is = tian_pearl_bounds(joint, treated, untreated).loc[row]
        turned = tian_pearl_bounds(joint[:, ::-1], 1 - treated, 1 - untreated).loc[row]  # the event is its absence
        lost, won = (as_is, turned) if value == 0 else (turned, as_is)
        x, y = self.columns_[treatment].plain_levels, self.columns_[node].plain_levels
        return (
            f"whatever the coupling, of the rows with {treatment}={x[1 - value]!r} between {lost['low']:.3f} and"
            f" {lost['high']:.3f} of those with {node}={y[1]!r} would have had {y[0]!r}, and between {won['low']:.3f}"
            f" and {won['high']:.3f} of those with {y[0]!r} would have had {y[1]!r} (Tian and Pearl 2000)"
        )
