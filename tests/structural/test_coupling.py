"""Discrete couplings and the bounds that hold whatever the coupling."""

import itertools

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import linprog

from pandas_causal.structural.causation import tian_pearl_bounds
from pandas_causal.structural.coupling import argmax_values, gumbel_posterior, invert_cdf, uniform_posterior

P = np.array([[0.2, 0.5, 0.3], [0.6, 0.0, 0.4]])


def test_inverse_of_the_cumulated_probabilities_by_hand():
    p = np.repeat(P[:1], 5, axis=0)
    np.testing.assert_array_equal(invert_cdf(p, np.array([0.0, 0.1999, 0.2, 0.6999, 0.7001])), [0, 0, 1, 1, 2])
    # class 1 of the second row is impossible
    np.testing.assert_array_equal(invert_cdf(np.repeat(P[1:], 3, axis=0), np.array([0.59, 0.6, 0.99])), [0, 2, 2])


def test_posteriors_give_back_the_class_observed():
    rng = np.random.default_rng(0)
    p = rng.dirichlet([0.3, 1, 1, 2], 5_000)
    codes = invert_cdf(p, rng.random(5_000))
    np.testing.assert_array_equal(invert_cdf(p, uniform_posterior(p, codes, rng)), codes)
    np.testing.assert_array_equal(argmax_values(p, gumbel_posterior(p, codes, rng)), codes)


def test_posterior_noise_of_drawn_classes_is_the_prior():
    """Averaged over classes drawn from p, the posterior is the prior: uniform, or independent standard Gumbels."""
    rng = np.random.default_rng(1)
    p = np.tile([0.15, 0.6, 0.25], (20_000, 1))
    codes = rng.choice(3, size=len(p), p=p[0])
    assert stats.kstest(uniform_posterior(p, codes, rng), "uniform").pvalue > 1e-3
    gumbel = gumbel_posterior(p, codes, rng)
    for k in range(3):
        assert stats.kstest(gumbel[:, k], "gumbel_r").pvalue > 1e-3
    assert np.abs(np.corrcoef(gumbel.T) - np.eye(3)).max() < 4 / np.sqrt(len(p))


def test_gumbel_counterfactual_by_enumeration_of_rejected_draws():
    """The posterior draws agree with prior draws of which only those that give the class observed are kept."""
    rng = np.random.default_rng(2)
    before, after = np.array([0.5, 0.3, 0.2]), np.array([0.1, 0.3, 0.6])
    prior = rng.gumbel(size=(400_000, 3))
    kept = prior[argmax_values(np.tile(before, (len(prior), 1)), prior) == 0]
    truth = np.bincount(argmax_values(np.tile(after, (len(kept), 1)), kept), minlength=3) / len(kept)
    m = 100_000
    p = np.tile(before, (m, 1))
    noise = gumbel_posterior(p, np.zeros(m, dtype=int), rng)
    found = np.bincount(argmax_values(np.tile(after, (m, 1)), noise), minlength=3) / m
    np.testing.assert_allclose(found, truth, atol=4.5 * np.sqrt(0.25 / m + 0.25 / len(kept)))


def test_monotone_counterfactual_by_hand():
    """p = (.5, .5) before and (.2, .8) after: an observed 0 has u < .5 and becomes 1 where u >= .2: 3 in 5."""
    rng = np.random.default_rng(3)
    m = 200_000
    u = uniform_posterior(np.tile([0.5, 0.5], (m, 1)), np.zeros(m, dtype=int), rng)
    assert invert_cdf(np.tile([0.2, 0.8], (m, 1)), u).mean() == pytest.approx(0.6, abs=4.5 * np.sqrt(0.24 / m))


def sharp(joint, treated, untreated):
    """Bounds by linear programming over the probabilities of (x, y under control, y under treatment)."""
    units = list(itertools.product((0, 1), repeat=3))
    rows, values = [], []
    for x, y in itertools.product((0, 1), repeat=2):
        rows.append([float(u[0] == x and u[1 + x] == y) for u in units])
        values.append(joint[x, y])
    rows += [[float(u[2]) for u in units], [float(u[1]) for u in units]]
    values += [treated, untreated]
    out = []
    for wanted, given in (((1, 0, 1), joint[1, 1]), ((0, 0, 1), joint[0, 0]), (None, 1.0)):
        c = np.array([float((u[1:] == (0, 1)) if wanted is None else u == wanted) for u in units])
        ends = [linprog(sign * c, A_eq=rows, b_eq=values, bounds=(0, 1)).fun * sign / given for sign in (1, -1)]
        out.append(ends)
    return np.array(out)


@pytest.mark.parametrize("seed", range(25))
def test_tian_pearl_bounds_are_the_sharp_ones(seed):
    """In a random population of eight response types, so that the margins are consistent."""
    units = np.random.default_rng(seed).dirichlet(np.ones(8) * 0.7).reshape(2, 2, 2)  # x, y(0), y(1)
    joint = np.array([[units[0, 0].sum(), units[0, 1].sum()], [units[1, :, 0].sum(), units[1, :, 1].sum()]])
    treated, untreated = units[:, :, 1].sum(), units[:, 1, :].sum()
    bounds = tian_pearl_bounds(joint, treated, untreated)
    np.testing.assert_allclose(bounds.to_numpy(), sharp(joint, treated, untreated), atol=1e-7)
    truth = units[1, 0, 1] / joint[1, 1], units[0, 0, 1] / joint[0, 0], units[:, 0, 1].sum()
    for name, value in zip(("PN", "PS", "PNS"), truth, strict=True):
        assert bounds.loc[name, "low"] - 1e-9 <= value <= bounds.loc[name, "high"] + 1e-9
