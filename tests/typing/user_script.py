"""A user's script, as type checkers see it. It is checked against the installed package, never run."""

from typing import assert_type

import pandas as pd

import pandas_causal
from pandas_causal import AIPW, CausalKFold, Effect, causal, compare

df: pd.DataFrame = pandas_causal.datasets.load_lalonde()
nhefs: pd.DataFrame = pandas_causal.datasets.load_nhefs()

effect: Effect = causal(df).ate(treatment="treat", outcome="re78", covariates=["age", "educ"])
doubly_robust: Effect = causal(df).ate(
    treatment="treat", outcome="re78", covariates=["age", "educ"], estimator=AIPW(random_state=0)
)
experiment: Effect = causal(df).ab_test(treatment="treat", outcome="re78")
several: Effect = causal(df).ab_test(treatment="treat", outcome=["re78", "re75"])
two_samples: Effect = pandas_causal.ab_test([1.0, 2.0], df["re78"])
smallest: float = pandas_causal.minimum_detectable_effect(1_000, 11.7)

estimate: float = effect.estimate
std_error: float = effect.std_error
p_value: float = effect.p_value
interval: tuple[float, float] = (effect.conf_low, effect.conf_high)
table: pd.DataFrame = effect.table
rows: int = effect.n_obs
level: float = effect.level

difference: Effect = effect.difference(experiment)
print(compare({"a": experiment, "b": effect}))
folds = CausalKFold(5, treatment="treat", random_state=0)

covariates: pd.DataFrame = df.drop(columns=["re78"])
fitted: AIPW = AIPW().fit(covariates, df["re78"], treatment="treat")
average: Effect = fitted.effect()
assert_type(AIPW().fit(covariates, df["re78"], treatment="treat"), AIPW)
assert_type(AIPW().fit(covariates, df["re78"], treatment="treat").effect(), Effect)
assert_type(AIPW().fit(covariates, df["re78"], treatment="treat").effect().estimate, float)

# Questions by position, estimators by name and class, and an effect under other names.
by_position: Effect = causal(df).ate("treat", "re78", ["age", "educ"], estimator="ipw", estimand="ATT", random_state=1)
by_class: Effect = causal(df).ate("treat", "re78", ["age"], estimator=AIPW)
matched: Effect = causal(df).match("treat", "re78", ["age"], ratio=2, caliper=0.2, exact=["black"])
drawn: Effect = causal(df).ate("treat", "re78", graph="age -> treat -> re78 <- age")
assert_type(causal(df).ab_test("treat", "re78"), Effect)
assert_type(float(effect), float)
labelled: list[tuple[object, Effect]] = list(effect)
tidy: pd.DataFrame = effect.tidy()
