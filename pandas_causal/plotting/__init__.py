"""Pictures, one module each: a function of the tidy table that it draws.

matplotlib is imported when something is drawn. Every function takes ``ax=None``, returns the Axes, changes no rcParams
and never calls ``show``. A picture of an effect is one entry of its module's ``PICTURES``.
"""

from pandas_causal.plotting.attribution import draw_bars as bars
from pandas_causal.plotting.attribution import draw_strengths as strengths
from pandas_causal.plotting.attribution import draw_waterfall as waterfall
from pandas_causal.plotting.bounds import draw_bounds as bounds
from pandas_causal.plotting.confounding import draw_confounder_contour as confounder_contour
from pandas_causal.plotting.confounding import draw_extreme_confounders as extreme_confounders
from pandas_causal.plotting.confounding import draw_sensitivity_band as sensitivity_band
from pandas_causal.plotting.discontinuity import draw_bandwidths as bandwidths
from pandas_causal.plotting.discontinuity import draw_density as density
from pandas_causal.plotting.discontinuity import draw_discontinuity as discontinuity
from pandas_causal.plotting.discontinuity import draw_placebo_cutoffs as placebo_cutoffs
from pandas_causal.plotting.dispatch import plot_effect
from pandas_causal.plotting.event_study import draw_event_study as event_study
from pandas_causal.plotting.event_study import draw_group_time as group_time
from pandas_causal.plotting.event_study import draw_trends as trends
from pandas_causal.plotting.forest import draw_forest as forest
from pandas_causal.plotting.graph import draw_graph as graph
from pandas_causal.plotting.heterogeneity import draw_dose as dose
from pandas_causal.plotting.heterogeneity import draw_effects as effects
from pandas_causal.plotting.heterogeneity import draw_uplift as uplift
from pandas_causal.plotting.independences import draw_independences as independences
from pandas_causal.plotting.instruments import draw_anderson_rubin as anderson_rubin
from pandas_causal.plotting.instruments import draw_binned_instrument as binned_instrument
from pandas_causal.plotting.instruments import draw_plausible_exogeneity as plausible_exogeneity
from pandas_causal.plotting.love import draw_love as love
from pandas_causal.plotting.overlap import draw_overlap as overlap
from pandas_causal.plotting.parallel_trends import draw_bacon as bacon
from pandas_causal.plotting.parallel_trends import draw_honest_bounds as honest_bounds
from pandas_causal.plotting.synthetic_control import draw_placebo_gaps as placebo_gaps
from pandas_causal.plotting.synthetic_control import draw_synthetic as synthetic
from pandas_causal.plotting.synthetic_control import draw_unit_weights as unit_weights

__all__ = [
    "anderson_rubin",
    "bacon",
    "bandwidths",
    "bars",
    "binned_instrument",
    "bounds",
    "confounder_contour",
    "density",
    "discontinuity",
    "dose",
    "effects",
    "event_study",
    "extreme_confounders",
    "forest",
    "graph",
    "group_time",
    "honest_bounds",
    "independences",
    "love",
    "overlap",
    "placebo_cutoffs",
    "placebo_gaps",
    "plausible_exogeneity",
    "plot_effect",
    "sensitivity_band",
    "strengths",
    "synthetic",
    "trends",
    "unit_weights",
    "uplift",
    "waterfall",
]
