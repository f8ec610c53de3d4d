"""The Okabe-Ito colours: told apart by readers with any colour vision.

References
----------
Okabe, M. and Ito, K. (2008). Color Universal Design.
"""

from __future__ import annotations

__all__ = ["BLACK", "BLUE", "BLUISH_GREEN", "GREY", "OKABE_ITO", "ORANGE", "VERMILLION"]

BLACK = "#000000"
ORANGE = "#E69F00"
SKY_BLUE = "#56B4E9"
BLUISH_GREEN = "#009E73"
YELLOW = "#F0E442"
BLUE = "#0072B2"
VERMILLION = "#D55E00"
REDDISH_PURPLE = "#CC79A7"
GREY = "#999999"  # the extended palette's, for lines that carry no data

# In the order used for groups: yellow last, since it is faint on white.
OKABE_ITO = (BLUE, ORANGE, BLUISH_GREEN, VERMILLION, SKY_BLUE, REDDISH_PURPLE, BLACK, YELLOW)
