"""U.S. Senate elections: published numbers, and every option beside rdrobust and rddensity in the same run."""

import contextlib
import io
import itertools
import warnings

import numpy as np
import pandas as pd
import pytest

import pandas_causal
from pandas_causal.discontinuity.bandwidths import SELECTORS
from pandas_causal.discontinuity.density import density_test
from tests.discontinuity.designs import make, ours, rdrobust, senate

KERNELS = ("triangular", "epanechnikov", "uniform")
Z = ("z1", "z2")


def test_senate_to_the_digits_printed():
    """Calonico, Cattaneo, Farrell and Titiunik (2017), "rdrobust", the Senate example."""
    effect = senate().causal.rdd(running="margin", outcome="vote", missing="drop")
    table = effect.diagnostics["inference"].table
    assert effect.estimate == pytest.approx(7.41413, abs=5e-6)
    assert table.loc["conventional", "std_error"] == pytest.approx(1.45872, abs=5e-6)
    assert table.loc["bias-corrected", "estimate"] == pytest.approx(7.50650, abs=5e-6)
    assert effect.std_error == pytest.approx(1.74126, abs=5e-6)
    assert [effect.conf_low, effect.conf_high] == pytest.approx([4.09370, 10.91931], abs=5e-6)
    assert table.loc["robust", ["conf_low", "conf_high"]].tolist() == pytest.approx([effect.conf_low, effect.conf_high])
    sides = effect.diagnostics["bandwidths"].table
    assert sides["h"].tolist() == pytest.approx([17.75440] * 2, abs=5e-6)
    assert sides["b"].tolist() == pytest.approx([28.02809] * 2, abs=5e-6)
    assert sides["n"].tolist() == [595, 702]
    assert sides["n_within_h"].tolist() == [360, 323]
    assert effect.facts["n_dropped"] == 93


def settings():
    """Kernels by selectors, then every other option with each kernel."""
    for kernel, bandwidth in itertools.product(KERNELS, SELECTORS):
        yield {"kernel": kernel, "bandwidth": bandwidth}
        if kernel == "triangular":
            yield {"kernel": kernel, "bandwidth": bandwidth, "covariates": Z}
    for kernel in KERNELS:
        for order, bias_order in ((0, 1), (1, 2), (2, 3), (3, 4)):
            yield {"kernel": kernel, "order": order, "bias_order": bias_order}
        for order in (1, 2):
            yield {"kernel": kernel, "order": order, "bias_order": order + 1, "derivative": 1}
        yield {"kernel": kernel, "treatment": "dose", "derivative": 1, "order": 2, "bias_order": 3}
        yield {"kernel": kernel, "treatment": "took", "sharp_bandwidth": True}
        for bandwidth in ("mserd", "msetwo", "msecomb2"):
            yield {"kernel": kernel, "treatment": "took", "bandwidth": bandwidth}
            yield {"kernel": kernel, "treatment": "took", "bandwidth": bandwidth, "covariates": Z}
        for vce in ("nn", "hc0", "hc1", "hc2", "hc3"):
            yield {"kernel": kernel, "vce": vce, "sample_weight": "weight", "treatment": "took", "covariates": Z}
        for more in ({}, {"covariates": Z}, {"treatment": "took", "sample_weight": "weight"}, {"bandwidth": "certwo"}):
            yield {"kernel": kernel, "cluster": "group", **more}
        for vce in ("hc2", "hc3"):
            yield {"kernel": kernel, "cluster": "group", "vce": vce}
            yield {"kernel": kernel, "cluster": "group", "vce": vce, "covariates": Z, "treatment": "took"}
            # CR2 with b under h: rows of weight 0 get the limit of small weights here, and rdrobust differs by 0.1%
            h, b = (0.3, 0.5) if vce == "hc2" else (0.5, 0.3)
            yield {"kernel": kernel, "cluster": "group", "vce": vce, "bandwidth": h, "bias_bandwidth": b}
        for h, b in ((0.3, 0.5), (0.5, 0.3), (0.4, None)):
            yield {"kernel": kernel, "bandwidth": h, "bias_bandwidth": b}
            yield {"kernel": kernel, "bandwidth": h, "bias_bandwidth": b, "order": 1, "bias_order": 3}
        yield {"kernel": kernel, "cutoff": -0.25}


SETTINGS = list(settings())


def test_at_least_sixty_settings():
    assert len(SETTINGS) >= 60


@pytest.mark.filterwarnings("ignore::pandas_causal.errors.AssumptionWarning")
@pytest.mark.parametrize("setting", SETTINGS, ids=lambda s: "-".join(map(str, s.values())))
def test_every_option_beside_rdrobust(setting):
    frame = make()
    given = {name: list(v) if isinstance(v, tuple) else v for name, v in setting.items()}
    peer = dict(setting)
    if "cluster" in peer:
        peer["vce"] = {"hc2": "cr2", "hc3": "cr3"}.get(setting.get("vce"), "cr1")
    np.testing.assert_allclose(ours(frame, **given), rdrobust(frame, **peer), rtol=1e-6)


@pytest.mark.parametrize("mass_points", ["adjust", "check", "off"])
@pytest.mark.parametrize("grid", [20, 64])
@pytest.mark.parametrize("bandwidth", ["mserd", "msetwo", "msecomb2"])
def test_mass_points_beside_rdrobust(grid, mass_points, bandwidth):
    frame = make(seed=1, grid=grid)
    k = {"mass_points": mass_points, "bandwidth": bandwidth}
    np.testing.assert_allclose(ours(frame, **k), rdrobust(frame, **k), rtol=1e-6)


@pytest.mark.filterwarnings("ignore::pandas_causal.errors.AssumptionWarning")
@pytest.mark.parametrize("seed", range(25))
def test_random_settings_beside_rdrobust(seed):
    """Heavy tails (so that the interquartile range sets the pilot bandwidth), units, ties, all options at once."""
    rng = np.random.default_rng(seed)
    frame = make(n=int(rng.integers(300, 1_500)), seed=seed, grid=[None, None, 50][seed % 3])
    frame["x"] = np.sign(frame["x"]) * np.abs(frame["x"]) ** 1.7 * rng.choice([1, 30, 0.001])
    order = int(rng.choice([0, 1, 2]))
    given = {
        "kernel": str(rng.choice(KERNELS)),
        "order": order,
        "bias_order": order + 1,
        "bandwidth": str(rng.choice(SELECTORS)),
    }
    if rng.random() < 0.5:
        given["covariates"] = list(Z)
    if rng.random() < 0.3:
        given["sample_weight"] = "weight"
    given |= (
        {"cluster": "group"} if rng.random() < 0.3 else {"vce": str(rng.choice(["nn", "hc0", "hc1", "hc2", "hc3"]))}
    )
    peer = {**given, "vce": "cr1"} if "cluster" in given else given
    np.testing.assert_allclose(ours(frame, **given), rdrobust(frame, **peer), rtol=1e-6)


def test_perfect_compliance_on_one_side_uses_the_sharp_bandwidth():
    frame = make(seed=2, one_sided=True)
    for k in ({"treatment": "took"}, {"treatment": "took", "covariates": list(Z)}):
        np.testing.assert_allclose(ours(frame, **k), rdrobust(frame, **k), rtol=1e-6)


def test_bias_order_beyond_p_plus_1_does_not_depend_on_units():
    """Here rdrobust 2.1.1 differs: its h changes with ``stdvars``, that is with the units of x, and ours does not."""
    frame = make()
    k = {"order": 1, "bias_order": 3}
    a, b = ours(frame, **k), ours(frame.assign(x=frame["x"] * 1000), **k)
    np.testing.assert_allclose(b, a * [1, 1, 1, 1, 1e3, 1e3, 1e3, 1e3], rtol=1e-8)
    peers = [rdrobust(frame, **k, stdvars=flag)[4] for flag in (True, False)]
    assert abs(peers[0] / peers[1] - 1) > 0.1
    np.testing.assert_allclose(a[6:], rdrobust(frame, **k)[6:], rtol=1e-6)  # b is common ground


def rddensity(x, **k):
    peer = pytest.importorskip("rddensity", reason="rddensity, the peer, is not installed")
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        out = peer.rddensity(x, **k)
    h = np.asarray(out.h, dtype=float).ravel()
    return [out.hat["left"], out.hat["right"], out.sd_jk["left"], out.sd_jk["right"], out.test["t_jk"], *h]


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("sample", ["senate", "normal", "small"])
def test_density_beside_rddensity(sample, order, kernel):
    rng = np.random.default_rng(3)
    samples = {"normal": rng.normal(size=2_000) * 2 + 0.3, "small": rng.normal(size=90) - 0.5}
    x = senate()[["vote", "margin"]].dropna()["margin"].to_numpy() if sample == "senate" else samples[sample]
    table = density_test(x, order=order, kernel=kernel).table
    found = [
        *table["estimate"].iloc[:2],
        *table["std_error"].iloc[:2],
        table["statistic"].iloc[2],
        *table["h"].iloc[:2],
    ]
    np.testing.assert_allclose(found, rddensity(x, p=order, kernel=kernel), rtol=1e-6)


def test_names_of_the_call_in_the_issue():
    effect = pandas_causal.causal(senate()).rdd(
        running="margin", outcome="vote", cutoff=0, treatment=None, covariates=None, kernel="triangular",
        bandwidth="mserd", order=1, bias_order=None, derivative=0, cluster=None, donut=0.0, vce="nn",
        mass_points="adjust", sample_weight=None, missing="drop",
    )  # fmt: skip
    assert isinstance(effect.table, pd.DataFrame)
