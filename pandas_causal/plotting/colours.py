"""The Okabe-Ito colours: told apart by readers with any colour vision.

References
----------
Okabe, M. and Ito, K. (2008). Color Universal Design.
"""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = ["BLACK", "BLUE", "BLUISH_GREEN", "GREY", "OKABE_ITO", "ORANGE", "VERMILLION", "Look", "looks_of_groups"]

BLACK = "#000000"
ORANGE = "#E69F00"
SKY_BLUE = "#56B4E9"
BLUISH_GREEN = "#009E73"
YELLOW = "#F0E442"
BLUE = "#0072B2"
VERMILLION = "#D55E00"
REDDISH_PURPLE = "#CC79A7"
GREY = "#999999"  # the extended palette's, for lines that carry no data

# In the order used for groups. Black and yellow are left out: one of them is lost on every ground.
OKABE_ITO = (BLUE, ORANGE, BLUISH_GREEN, VERMILLION, SKY_BLUE, REDDISH_PURPLE)

_MARKERS = "os^Dv<>PX*hpd8"
_DASHES: tuple[Any, ...] = ("-", (0, (1, 1)), (0, (5, 1, 1, 1)), (0, (3, 1, 1, 1, 1, 1)))


class Look(NamedTuple):
    """What tells one group from the others: a colour, and for readers who see none a marker and dashes."""

    colour: str
    marker: str
    dashes: Any


def looks_of_groups(n: int, ground: str) -> list[Look]:
    """A look for each of n groups, no two alike.

    Parameters
    ----------
    n : int
        Above six, colours are steps from dark to light, in the order of the groups.
    ground : str
        Colour behind the drawing, which the steps keep away from.
    """
    if n <= len(OKABE_ITO):
        colours = list(OKABE_ITO[:n])
    else:
        from matplotlib import colormaps
        from matplotlib.colors import to_hex, to_rgb

        light = sum(to_rgb(ground)) > 1.5
        low, high = (0.0, 0.88) if light else (0.25, 1.0)
        colours = [to_hex(colormaps["viridis"](low + (high - low) * k / (n - 1))) for k in range(n)]
    return [Look(c, _MARKERS[k % len(_MARKERS)], _DASHES[k % len(_DASHES)]) for k, c in enumerate(colours)]
