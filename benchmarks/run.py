"""Run every benchmark and print the table of README.md: ``python benchmarks/run.py``."""

from __future__ import annotations

from measure import compare


def main() -> None:
    aipw = compare("aipw.py", ("ours", "doubleml"))
    boot = compare("bootstrap.py", ("ours", "loop_of_10"), repeats=3)
    bands = compare("bands.py", ("ours",))
    imports = compare("imports.py", ("pandas", "ours"), repeats=7)
    jump = compare("discontinuity.py", ("ours", "rdrobust"))
    graph = compare("identification.py", ("ours", "dowhy"))
    cells = compare("panels.py", ("ours", "diff_diff", "csdid"))
    two_way = compare("two_way.py", ("ours", "pyfixest"), repeats=1)
    moved = compare("instruments.py", ("ours", "linearmodels", "pyfixest"))
    moved_within = compare("instruments.py", ("ours", "pyfixest"), arguments=("absorbed",))
    tilts = compare("balancing.py", ("tilt", "logistic", "ours", "ipw"))
    ebal = compare("balancing.py", ("ours", "ebal"), arguments=("100000",))
    placebos = compare("synthetic_control.py", ("ours", "loop_of_10"))
    rows = [
        ("AIPW, 1,000,000 x 10, 5 folds", "DoubleML IRM", aipw["ours"]["seconds"] / aipw["doubleml"]["seconds"]),
        (
            "the same, peak memory beyond the data",
            "DoubleML IRM",
            aipw["ours"]["extra_mib"] / aipw["doubleml"]["extra_mib"],
        ),
        (
            "1,000 bootstrap draws, 1,000,000 rows",
            "100 times a loop of 10 refits",
            boot["ours"]["seconds"] / (100 * boot["loop_of_10"]["seconds"]),
        ),
        ("discontinuity, 1,000,000 rows", "rdrobust", jump["ours"]["seconds"] / jump["rdrobust"]["seconds"]),
        ("identification, 20 confounders", "DoWhy", graph["ours"]["seconds"] / graph["dowhy"]["seconds"]),
        ("group-time effects, 50,000 x 10", "diff-diff", cells["ours"]["seconds"] / cells["diff_diff"]["seconds"]),
        ("the same", "csdid", cells["ours"]["seconds"] / cells["csdid"]["seconds"]),
        ("two-way effects, 10,000,000 rows", "pyfixest", two_way["ours"]["seconds"] / two_way["pyfixest"]["seconds"]),
        ("2SLS, 1,000,000 x 10", "linearmodels", moved["ours"]["seconds"] / moved["linearmodels"]["seconds"]),
        ("the same", "pyfixest", moved["ours"]["seconds"] / moved["pyfixest"]["seconds"]),
        (
            "2SLS, 10,000 absorbed levels",
            "pyfixest",
            moved_within["ours"]["seconds"] / moved_within["pyfixest"]["seconds"],
        ),
        (
            "entropy balancing's solver, 1,000,000 x 20",
            "a logistic regression",
            tilts["tilt"]["seconds"] / tilts["logistic"]["seconds"],
        ),
        ("its whole fit", "IPW's whole fit", tilts["ours"]["seconds"] / tilts["ipw"]["seconds"]),
        ("its whole fit, 100,000 x 20", "ebal", ebal["ours"]["seconds"] / ebal["ebal"]["seconds"]),
        (
            "synthetic control, 1,000 placebos of 200 donors",
            "100 times synthdid, 10 placebos",
            placebos["ours"]["seconds"] / (100 * placebos["loop_of_10"]["seconds"]),
        ),
        ("import", "import pandas", imports["ours"]["seconds"] / imports["pandas"]["seconds"]),
    ]
    for name, beside, ratio in rows:
        print(f"| {name} | {beside} | {ratio:.3f} |")
    print(f"AIPW: ours {aipw['ours']['result']}, DoubleML {aipw['doubleml']['result']}")
    print(f"AIPW seconds: ours {aipw['ours']['seconds']:.2f}, DoubleML {aipw['doubleml']['seconds']:.2f}")
    print(
        f"AIPW extra memory: ours {aipw['ours']['extra_mib']:.0f} MiB,"
        f" DoubleML {aipw['doubleml']['extra_mib']:.0f} MiB; input 92 MiB"
    )
    print(f"bootstrap seconds: {boot['ours']['seconds']:.2f}; band of 1,000,000 rows: {bands['ours']['seconds']:.2f} s")
    print(f"discontinuity: ours {jump['ours']['result']}, rdrobust {jump['rdrobust']['result']}")
    print(f"group-time effects: {cells}")
    print(f"two-way effects: {two_way}")
    print(f"import beyond pandas: {imports['ours']['seconds'] - imports['pandas']['seconds']:.3f} s")


if __name__ == "__main__":
    main()
