"""Judge predicted effects and rankings: scorers for searches, calibration, rank-weighted effects, uplift by name."""

from pandas_causal.heterogeneity.ranking import auuc, budget_curve, calibration, qini, rate, uplift_at_k, uplift_curve
from pandas_causal.heterogeneity.scorers import dr_score, r_score

__all__ = ["auuc", "budget_curve", "calibration", "dr_score", "qini", "r_score", "rate", "uplift_at_k", "uplift_curve"]
