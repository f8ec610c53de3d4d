"""Who benefits: effects that vary with covariates, how to judge them, and what to do with them."""
