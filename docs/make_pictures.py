"""Draw the pictures of the pages: ``python docs/make_pictures.py``.

A picture is made by the snippet below it: a line ``![...](img/name.png)`` and the first Python block after it. The
snippets of a page run in order in one namespace, as the tests run them, in the folder this is called from: rdd.md reads
senate.csv there, did.md mpdta.csv.
"""

import contextlib
import io
import re
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

DOCS = Path(__file__).resolve().parent
PART = re.compile(r"!\[[^\]]*\]\((?P<image>img/[^)]+)\)|^```python\n(?P<code>.*?)^```", re.MULTILINE | re.DOTALL)


def draw(page):
    namespace, image = {"__name__": "__main__"}, None
    for part in PART.finditer(page.read_text(encoding="utf-8")):
        if part["image"]:
            image = part["image"]
            continue
        with contextlib.redirect_stdout(io.StringIO()):
            exec(compile(part["code"], str(page), "exec"), namespace)
        if image:
            plt.gcf().savefig(DOCS / image, dpi=120, metadata={"Software": None})
            image = None
        plt.close("all")


if __name__ == "__main__":
    for page in sorted(DOCS.glob("*.md")):
        draw(page)
