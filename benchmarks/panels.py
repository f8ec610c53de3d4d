"""Group-time effects of a staggered panel, 50,000 units (or as many as the second argument says) x 10 periods.

Beside diff-diff and csdid (a port of R's did), with the same averages by event time, no bootstrap on any side.
"""

from __future__ import annotations

import contextlib
import io
import sys
import warnings

import numpy as np
import pandas as pd
from measure import job

N = int(sys.argv[2]) if len(sys.argv) > 2 else 50_000
COVARIATES = ["x"] if "covariates" in sys.argv[3:] else []
T = 10


def data(n: int = N) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    cohort = rng.choice([0, 4, 5, 6, 7, 8], n, p=[0.4, 0.12, 0.12, 0.12, 0.12, 0.12])
    unit, time = np.repeat(np.arange(n), T), np.tile(np.arange(1, T + 1), n)
    own = cohort[unit]
    effect = np.where((own > 0) & (time >= own), 0.5 + 0.1 * (time - own), 0.0)
    y = rng.normal(size=n)[unit] + 0.1 * time + effect + rng.normal(size=n * T)
    return pd.DataFrame({"unit": unit, "time": time, "cohort": own, "y": y, "x": rng.normal(size=n)[unit]})


def ours(frame: pd.DataFrame) -> list[float]:
    import pandas_causal

    effect = pandas_causal.causal(frame).did(
        outcome="y", unit="unit", time="time", cohort="cohort", covariates=COVARIATES
    )
    overall = effect.aggregate("event").aggregate("overall")
    return [overall.estimate, overall.std_error]


def diff_diff(frame: pd.DataFrame) -> list[float]:
    from diff_diff import CallawaySantAnna

    warnings.simplefilter("ignore")
    found = CallawaySantAnna(pscore_trim=1e-9).fit(
        frame, outcome="y", unit="unit", time="time", first_treat="cohort", covariates=COVARIATES or None,
        aggregate="event_study",
    )  # fmt: skip
    events = [e["effect"] for k, e in found.event_study_effects.items() if k >= 0]  # its overall average is another
    return [float(np.mean(events))]


def csdid(frame: pd.DataFrame) -> list[float]:
    from csdid.att_gt import ATTgt

    warnings.simplefilter("ignore")
    with contextlib.redirect_stdout(io.StringIO()):
        cells = ATTgt(
            yname="y", tname="time", idname="unit", gname="cohort", data=frame, control_group=["nevertreated"],
            xformla="y ~ x" if COVARIATES else None,
        ).fit(est_method="dr", bstrap=False)  # fmt: skip
        found = cells.aggte("dynamic", bstrap=False, cband=False).atte
    return [float(found["overall_att"]), float(np.ravel(found["overall_se"])[0])]


if __name__ == "__main__":
    side = {"ours": ours, "diff_diff": diff_diff, "csdid": csdid}[sys.argv[1]]
    job(data, lambda _: side(data(2_000)), side)
