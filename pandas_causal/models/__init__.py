"""Models that designs share: linear, nuisances, cross-fitting, folds, fixed effects."""
