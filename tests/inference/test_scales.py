"""Scales of intervals."""

import numpy as np

from pandas_causal.inference.scales import LogRatio


def test_the_log_of_a_ratio_has_its_inverse_and_its_derivative():
    lift, scale = np.array([-0.9, -0.1, 0.0, 1e-9, 0.4, 30.0]), LogRatio()
    np.testing.assert_allclose(scale.backward(scale.forward(lift)), lift, rtol=1e-12)
    np.testing.assert_allclose(scale.forward(lift), np.log(1 + lift), rtol=1e-6)
    step = 1e-6 * (1 + lift)
    slope = (scale.forward(lift + step) - scale.forward(lift - step)) / (2 * step)
    np.testing.assert_allclose(scale.slope(lift), slope, rtol=1e-6)
    assert scale.forward(np.zeros(1)) == 0
