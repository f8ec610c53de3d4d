import numpy as np
import pytest
from scipy import stats

from pandas_causal.inference.reference import Anytime, BoundedBias, Normal, Student, anytime_rho

DF = np.array([1.0, 3.5, 30.0, np.inf])


def test_student_matches_scipy_and_is_normal_at_infinite_degrees_of_freedom():
    np.testing.assert_allclose(Student().critical(0.95, DF), stats.t.ppf(0.975, DF))
    np.testing.assert_allclose(
        Student().p_value(np.array([2.0, -1.0, 0.3, 1.96]), DF), 2 * stats.t.sf([2.0, 1.0, 0.3, 1.96], DF)
    )


def test_normal_ignores_degrees_of_freedom():
    np.testing.assert_allclose(Normal().critical(0.9, DF), stats.norm.ppf(0.95))
    np.testing.assert_allclose(Normal().p_value(np.array([-2.0]), np.array([1.0])), 2 * stats.norm.sf(2))


def test_anytime_boundary_is_the_closed_form_and_p_value_inverts_it():
    n, rho = 500, anytime_rho(1000, 0.05)
    law = Anytime(n, rho)
    # Waudby-Smith et al. 2024: half width sqrt((t rho^2 + 1) / (t^2 rho^2) log((t rho^2 + 1) / alpha^2)), times sqrt(t)
    expected = np.sqrt((n * rho**2 + 1) / (n * rho**2) * np.log((n * rho**2 + 1) / 0.05**2))
    c = law.critical(0.95, np.array([np.inf]))
    assert c[0] == pytest.approx(expected)
    assert law.p_value(c, np.array([np.inf]))[0] == pytest.approx(0.05)
    assert law.p_value(np.array([0.0]), np.array([np.inf]))[0] == 1.0


def test_anytime_rho_makes_the_sequence_nearly_tightest_at_the_planned_n():
    rho = anytime_rho(1000, 0.05)

    def width(r):
        return Anytime(1000, r).critical(0.95, np.array([np.inf]))[0]

    best = min(width(r) for r in np.geomspace(rho / 10, rho * 10, 400))
    assert width(rho) == pytest.approx(best, rel=0.002)


@pytest.mark.parametrize("ratio", [0.0, 0.5, 2.0])
def test_bounded_bias_is_the_folded_normal(ratio):
    law, df = BoundedBias(ratio), np.array([np.inf])
    c = law.critical(0.95, df)[0]
    assert stats.norm.cdf(c - ratio) - stats.norm.cdf(-c - ratio) == pytest.approx(0.95)
    assert law.p_value(np.array([c]), df)[0] == pytest.approx(0.05)
    # Armstrong and Kolesar (2018), Table: cv(0) = 1.96 and cv grows to ratio + 1.645
    if ratio == 0:
        assert c == pytest.approx(1.959964, abs=1e-6)
    if ratio == 2:
        assert c == pytest.approx(2 + 1.645, abs=0.001)
