"""Known truth of staggered treatment: effects that grow and differ between cohorts, conditional trends, few units."""

import warnings

import numpy as np
import pandas as pd
import pytest

from pandas_causal import CallawaySantAnna, RandomTiming
from pandas_causal.errors import CausalWarning
from tests.statistical.draws import DRAWS, FULL, refit, slack

T = 7
COHORTS = (0, 3, 4, 6)


def draw(rng, n=200, conditional=False):
    """Units with levels and errors of their own, serially correlated; effects grow with exposure, most of all early.

    `conditional`: trends differ with a covariate, and the covariate between cohorts.
    """
    cohort = rng.choice(COHORTS, n, p=[0.4, 0.2, 0.2, 0.2])
    x = rng.normal(size=n) + 0.4 * (cohort > 0) * conditional
    time = np.arange(1, T + 1)
    shock = rng.normal(size=(n, T))
    shock[:, 1:] += 0.5 * shock[:, :-1]
    event = time - cohort[:, None]
    tau = np.where((cohort[:, None] > 0) & (event >= 0), (7 - cohort[:, None]) / 4 * (1 + event), 0.0)
    y = rng.normal(size=(n, 1)) + 0.3 * time + conditional * 0.5 * x[:, None] * time + tau + shock
    frame = pd.DataFrame(
        {"unit": np.repeat(np.arange(n), T), "time": np.tile(time, n), "cohort": np.repeat(cohort, T).astype(float),
         "x": np.repeat(x, T)}
    )  # fmt: skip
    return frame, pd.Series(y.ravel(), name="y")


def true_events():
    """Mean effect of the cohorts (of equal size) seen at each event time."""
    late = {e: [c for c in COHORTS[1:] if 1 <= c + e <= T] for e in range(2 - COHORTS[-1], T - COHORTS[1] + 1)}
    return pd.Series({e: np.mean([(7 - c) / 4 * (1 + e) if e >= 0 else 0 for c in own]) for e, own in late.items()})


def two_way(frame, y):
    """Two-way fixed effects of treatment, by hand: demeaned twice, which is exact in a balanced panel."""
    d = ((frame["cohort"] > 0) & (frame["time"] >= frame["cohort"])).to_numpy(dtype=float).reshape(-1, T)
    y = y.to_numpy().reshape(-1, T)
    d, y = (v - v.mean(axis=1, keepdims=True) - v.mean(axis=0) + v.mean() for v in (d, y))
    return float((d * y).sum() / np.square(d).sum())


def within(estimates, truth):
    """Whether the mean of the draws is the truth, but for their own noise."""
    estimates = np.asarray(estimates)
    return abs(estimates.mean() - truth) <= 4 * estimates.std(ddof=1) / np.sqrt(len(estimates))


@pytest.mark.slow
@pytest.mark.parametrize("control_group", ["never_treated", "not_yet_treated"])
def test_bands_cover_all_events_at_once(control_group):
    """Uniform 95% bands over the event study, and the pointwise interval of the overall average."""
    rng, draws = np.random.default_rng(2), DRAWS if FULL or control_group == "never_treated" else 100
    truth = true_events()
    post = truth[truth.index >= 0].mean()
    estimator = CallawaySantAnna(control_group=control_group)
    bands, overall, inside, fixed = [], [], [], []
    for k in range(draws):
        frame, y = draw(rng)
        events = refit(estimator, frame[["unit", "time", "cohort"]], y, unit="unit", time="time", cohort="cohort")
        events = events.aggregate("event")
        band = events.interval(simultaneous=True, random_state=k)
        bands.append(((band["conf_low"] <= truth) & (truth <= band["conf_high"])).all())
        average = events.aggregate("overall")
        overall.append(average.estimate)
        inside.append(average.conf_low <= post <= average.conf_high)
        fixed.append(two_way(frame, y))
    assert abs(np.mean(bands) - 0.95) <= slack(draws)
    assert abs(np.mean(inside) - 0.95) <= slack(draws)
    assert within(overall, post)
    # the effects are all positive and large; two-way fixed effects misses their mean by far
    assert np.mean(fixed) < 0.75 * post


@pytest.mark.slow
@pytest.mark.parametrize("method", ["dr", "dr_improved", "ipw", "regression"])
def test_conditional_trends(method):
    """Trends that hold given x only: every method is right, and the comparison without x is not."""
    rng, draws = np.random.default_rng(5), DRAWS if FULL else 80
    estimator = CallawaySantAnna(method=method)
    # of the cells, weighted by the shares of the cohorts, which are equal
    truth = np.mean([(7 - c) / 4 * (1 + t - c) for c in COHORTS[1:] for t in range(c, T + 1)])
    estimates, inside, naive = [], [], []
    for _ in range(draws):
        frame, y = draw(rng, n=300, conditional=True)
        names = {"unit": "unit", "time": "time", "cohort": "cohort"}
        simple = refit(estimator, frame, y, **names).aggregate("simple")
        estimates.append(simple.estimate)
        inside.append(simple.conf_low <= truth <= simple.conf_high)
        naive.append(refit(CallawaySantAnna(), frame[list(names)], y, **names).aggregate("simple").estimate)
    assert abs(np.mean(inside) - 0.95) <= slack(draws, most=0.025)
    assert within(estimates, truth)
    assert not within(naive, truth)


@pytest.mark.slow
def test_pre_trends_reject_as_often_as_they_say():
    rng, draws = np.random.default_rng(8), DRAWS
    rejected = []
    for _ in range(draws):
        frame, y = draw(rng)
        effect = refit(CallawaySantAnna(), frame.drop(columns="x"), y, unit="unit", time="time", cohort="cohort")
        rejected.append(not effect.diagnostics["pre_trends"].passed)
    assert abs(np.mean(rejected) - 0.05) <= slack(draws) + 0.005  # the covariance of six cells is estimated


@pytest.mark.slow
def test_few_treated_units_are_rightly_warned_of():
    """Intervals from influence functions cover the less the fewer units are treated; from ten on they nearly hold."""
    rng, draws = np.random.default_rng(9), 2_000 if FULL else 80
    covered = {}
    for treated in (2, 3, 5, 10, 20):
        inside = []
        for _ in range(draws):
            frame = pd.DataFrame({"unit": np.repeat(np.arange(60), 2), "time": np.tile([1, 2], 60)})
            frame["cohort"] = np.where(frame["unit"] < treated, 2.0, np.nan)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", CausalWarning)
                y = pd.Series(rng.normal(size=120), name="y")
                effect = refit(CallawaySantAnna(), frame, y, unit="unit", time="time", cohort="cohort")
            inside.append(effect.conf_low <= 0 <= effect.conf_high)
        covered[treated] = np.mean(inside)
    assert covered[2] < 0.65 + slack(draws, rate=0.65, most=0.04)
    assert covered[3] < 0.78 + slack(draws, rate=0.78, most=0.04)
    assert covered[2] < covered[5] < covered[20] + 0.02
    assert covered[20] > 0.95 - 0.03 - slack(draws)


def rollout(rng, base, gain, starts, effect=1.0):
    """One order of starts among the same units: their untreated outcomes and gains are fixed, only timing is drawn."""
    n, periods = base.shape
    cohort = rng.permutation(np.resize(starts, n))
    event = np.arange(1, periods + 1) - cohort[:, None]
    tau = np.where((cohort[:, None] > 0) & (event >= 0), effect * (1 + 0.5 * event + gain), 0.0)
    names = {"unit": np.repeat(np.arange(n), periods), "time": np.tile(np.arange(1, periods + 1), n)}
    frame = pd.DataFrame({**names, "cohort": np.repeat(cohort, periods).astype(float)})
    return frame, pd.Series((base + tau).ravel(), name="y")


ROLLOUT = {"unit": "unit", "time": "time", "cohort": "cohort"}


@pytest.mark.slow
def test_the_efficient_estimator_under_random_timing():
    """Over random orders of 150 units: no bias, coverage, and a spread below that of Callaway and Sant'Anna."""
    rng, draws, starts = np.random.default_rng(0), DRAWS, (0, 0, 3, 4, 5)
    base = rng.normal(size=(150, 1)) + rng.normal(size=(150, 6)) + 0.3 * np.arange(6)
    gain = 0.5 * rng.normal(size=(150, 1))
    cells = [1 + 0.5 * (t - g) + gain.mean() for g in starts[2:] for t in range(g, 7)]  # cohorts of equal size
    truth = float(np.mean(cells))
    rows = []
    for _ in range(draws):
        frame, y = rollout(rng, base, gain, starts)
        ours = refit(RandomTiming(), frame, y, **ROLLOUT)
        theirs = refit(CallawaySantAnna(control_group="not_yet_treated"), frame, y, **ROLLOUT).aggregate("simple")
        rows.append((ours.estimate, ours.std_error, ours.conf_low <= truth <= ours.conf_high, theirs.estimate))
    estimate, se, inside, did = np.array(rows, dtype=float).T
    assert within(estimate, truth)
    assert inside.mean() >= 0.95 - slack(draws)  # Neyman's variance is conservative: gains differ
    assert 0.95 * estimate.std() < se.mean() < 1.15 * estimate.std()
    assert estimate.std() < 0.97 * did.std()


@pytest.mark.slow
@pytest.mark.parametrize("starts", [(0, 0, 0, 3, 4), (0,) * 9 + (4,)], ids=["studentised", "two treated"])
def test_fishers_tests_keep_their_size(starts):
    """Skewed outcomes of 100 units, 40 of them treated; and of 20 units, 2 of them treated."""
    n = 100 if len(starts) == 5 else 20
    rng, draws = np.random.default_rng(1), DRAWS
    base, gain = np.exp(rng.normal(size=(n, 6))) + rng.normal(size=(n, 1)), np.zeros((n, 1))
    p = np.empty(draws)
    for k in range(draws):  # the outcomes are the same in all draws: with one seed their null distribution would be too
        fisher = RandomTiming(adjustment="did", inference="fisher", n_draws=199, random_state=k)
        p[k] = refit(fisher, *rollout(rng, base, gain, starts, effect=0.0), **ROLLOUT).p_value
    for size in (0.05, 0.1):
        assert (p <= size).mean() <= size + slack(draws, 1 - size)
    assert (p <= 0.5).mean() >= 0.5 - slack(draws, 0.5)
