"""``DataFrame.causal``: one short method per question. Names columns, delegates; no statistics, no state.

The questions of each design are in a file of their own; :class:`CausalAccessor` brings them together.
"""

from __future__ import annotations

import pandas as pd

from pandas_causal.accessor.attribution import AttributionQuestions
from pandas_causal.accessor.audit import AuditQuestions
from pandas_causal.accessor.bounds import BoundsQuestions
from pandas_causal.accessor.difference_in_differences import PanelQuestions
from pandas_causal.accessor.discontinuity import DiscontinuityQuestions
from pandas_causal.accessor.experiments import ExperimentQuestions
from pandas_causal.accessor.graphs import GraphQuestions, StructuralQuestions
from pandas_causal.accessor.heterogeneity import HeterogeneityQuestions
from pandas_causal.accessor.instruments import InstrumentQuestions
from pandas_causal.accessor.matching import MatchingQuestions
from pandas_causal.accessor.mediation import MediationQuestions
from pandas_causal.accessor.synthetic_control import SyntheticQuestions

__all__ = ["CausalAccessor", "causal"]


class CausalAccessor(
    AuditQuestions,
    BoundsQuestions,
    AttributionQuestions,
    ExperimentQuestions,
    MatchingQuestions,
    MediationQuestions,
    DiscontinuityQuestions,
    GraphQuestions,
    HeterogeneityQuestions,
    InstrumentQuestions,
    PanelQuestions,
    StructuralQuestions,
    SyntheticQuestions,
):
    """Causal questions to a DataFrame.

    Columns are given by name. The frame is never changed. Every answer is an :class:`Effect` or a :class:`Check`.
    """


def causal(frame: object) -> CausalAccessor:
    """Return the same accessor as ``frame.causal``, typed, and ours whatever else registers that name.

    Parameters
    ----------
    frame : DataFrame, or a polars, Arrow or DuckDB table
        Other tables are converted to pandas, once (``pip install 'pandas-causal[arrow]'``).

    Raises
    ------
    CausalArgumentError
        For anything that is no table.
    MissingDependencyError
        If narwhals, which converts, is not installed.

    Examples
    --------
    >>> causal(df).ate(treatment="treat", outcome="re78", covariates=["age"])  # doctest: +SKIP
    """
    from pandas_causal.inputs.tables import to_pandas

    return CausalAccessor(frame if isinstance(frame, pd.DataFrame) else to_pandas(frame))
