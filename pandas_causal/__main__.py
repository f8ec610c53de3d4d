"""``python -m pandas_causal``: the main job on bundled data."""

from __future__ import annotations

import pandas_causal
from pandas_causal.datasets import load_lalonde


def main() -> None:
    """Print the naive difference, the adjusted effect, its overlap and its balance."""
    df = load_lalonde()
    covariates = ["age", "educ", "black", "hisp", "marr", "nodegree", "re74", "re75"]
    ask = pandas_causal.causal(df)
    naive = ask.association(treatment="treat", outcome="re78")
    adjusted = ask.ate(treatment="treat", outcome="re78", covariates=covariates)
    print("Job training (NSW, LaLonde 1986): earnings in 1978, dollars\n")
    print(naive.summary(), "\n")
    print(adjusted.summary(), "\n")
    print(pandas_causal.compare({"naive": naive, "adjusted": adjusted}).iloc[:, :6].round(3).to_string(), "\n")
    for name in ("overlap", "balance"):
        print(f"{name}: {adjusted.diagnostics[name]!r}\n")


if __name__ == "__main__":
    main()
