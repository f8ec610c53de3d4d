# The estimators are public names of the package; their one list is __init__.pyi.

from collections.abc import Mapping

from pandas_causal import *  # noqa: F403

PLACES: Mapping[str, str]

def all_estimators() -> list[type]: ...
