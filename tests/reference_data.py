"""Where data with published answers lie that are not ours to ship."""

import os
from pathlib import Path

REFERENCE = Path(os.environ.get("PANDAS_CAUSAL_REFERENCE", Path(__file__).resolve().parents[2] / "shared/reference"))
