"""The plug-in of a functional: unbiased, and its bootstrap as wide as the spread between samples."""

import numpy as np
import pytest

from tests.identification.test_routes import ASKED, NAPKIN, napkin
from tests.statistical.draws import FULL, slack


@pytest.mark.slow
def test_bootstrap_of_the_napkin():
    draws, n_draws = (400, 300) if FULL else (25, 60)
    found = NAPKIN.identify(**ASKED)
    effects = [found.estimate(napkin(3_000, 1_000 + k), n_draws=n_draws) for k in range(draws)]
    more = [found.estimate(napkin(3_000, 1_000 + k), n_draws=10).estimate for k in range(draws, 150)]
    estimates = np.array([e.estimate for e in effects] + more)
    bias, spread = estimates.mean() - 0.3, estimates.std(ddof=1)
    width = np.mean([e.std_error for e in effects])
    covered = np.mean([e.conf_low <= 0.3 <= e.conf_high for e in effects])
    print(f"bias {bias:+.4f}, spread {spread:.4f}, bootstrap {width:.4f}, coverage {covered:.3f}")
    assert abs(bias) < 3.5 * spread / np.sqrt(len(estimates))
    assert width == pytest.approx(spread, rel=3.5 / np.sqrt(2 * len(estimates)))
    assert abs(covered - 0.95) <= slack(draws) + 0.02  # percentiles of so few replicates
