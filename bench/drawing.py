"""How all plots look, and a plot as a picture or as a part of a page."""

from __future__ import annotations

import contextlib
import io
import re
from collections import Counter
from collections.abc import Callable, Iterator
from functools import wraps
from html import escape
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from PIL import Image

from ..runtime.errors import MissingPackage

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK, GRAY, RULE, PAPER = "#1c1c1c", "#6b6b6b", "#dedede", "#fefefe"
# In a page these are its own colors, light or dark; plots of other styles have black for ink.
VARIABLES = {
    INK: "var(--ink)",
    "#000000": "var(--ink)",
    GRAY: "var(--gray)",
    RULE: "var(--rule)",
    PAPER: "var(--paper)",
}
COLORS = ("#2a78b5", "#d9541e", "#4c9f70", "#8e6bbf", "#c9962b", "#c2477f", "#3aa6a0", "#8a6d5a")
WIDTH_PX, DPI = 800, 100
STYLE = {
    "font.family": "DejaVu Sans", "font.size": 9.5, "text.color": INK, "axes.edgecolor": GRAY, "axes.labelcolor": GRAY,
    "axes.linewidth": 0.8, "axes.spines.top": False, "axes.spines.right": False, "axes.titlelocation": "left",
    "axes.titlesize": 10.5, "axes.titlepad": 8.0, "axes.labelsize": 9.0, "axes.axisbelow": True, "axes.grid": True,
    "grid.color": RULE, "grid.linewidth": 0.8, "xtick.color": GRAY, "ytick.color": GRAY, "xtick.labelsize": 9.0,
    "ytick.labelsize": 9.0, "xtick.major.size": 0, "ytick.major.size": 0, "xtick.minor.size": 0, "ytick.minor.size": 0,
    "legend.frameon": False, "legend.fontsize": 9.0, "text.parse_math": False, "figure.constrained_layout.use": True,
    "figure.constrained_layout.h_pad": 0.08, "figure.constrained_layout.w_pad": 0.08, "savefig.dpi": DPI,
    "svg.fonttype": "none", "svg.hashsalt": "aquatint", "path.simplify": True,
}  # fmt: skip

P = ParamSpec("P")
T = TypeVar("T")


def check_drawing(what: str) -> None:
    """Raises MissingPackage without matplotlib.  what: the option that needs it."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as reason:
        raise MissingPackage(f'{what} can\'t be drawn without matplotlib; pip install "aquatint[bench]"') from reason


def styled(draw: Callable[P, T]) -> Callable[P, T]:
    """Draw in our style, whatever the user's matplotlibrc says."""

    @wraps(draw)
    def drawn(*args: P.args, **words: P.kwargs) -> T:
        with _style():
            return draw(*args, **words)

    return drawn


def new_figure(height_px: float, name: str) -> Figure:
    """An empty one, as wide as all.  name: of what it shows, for those who can't see it."""
    from matplotlib.figure import Figure

    return Figure(figsize=(WIDTH_PX / DPI, height_px / DPI), label=name)


@styled
def picture_of(figure: Figure) -> Image.Image:
    """The plot on white."""
    file = io.BytesIO()
    figure.savefig(file, format="png", facecolor="white")
    with Image.open(file) as picture:
        return picture.convert("RGB")


@styled
def svg_of(figure: Figure, key: str) -> str:
    """The plot as an element of an HTML page, in the page's colors and font, without a background.

    key: letters that no other plot of the page has.
    """
    file = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(file, format="svg", transparent=True, metadata=nothing)
    text = file.getvalue()
    text = re.sub(r"<style.*?</style>", "", text[text.index("<svg") :], flags=re.DOTALL)
    width, height = (round(inches * 96) for inches in figure.get_size_inches())
    view = re.search(r'viewBox="[^"]*"', text)
    assert view is not None
    titles = (axes.get_title(place) for axes in figure.axes for place in ("left", "center"))
    words = escape(str(figure.get_label()) or ", ".join(filter(None, titles)))
    head = f'<svg role="img" aria-label="{words}" width="{width}" height="{height}" {view[0]}>'
    return _small(_named(head + text[text.index(">") + 1 :], key), key).strip()


@contextlib.contextmanager
def _style() -> Iterator[None]:
    import matplotlib.style

    settings: list[Any] = ["default", STYLE]
    with matplotlib.style.context(settings):
        yield


def _named(text: str, key: str) -> str:
    """Only ids that are used, and none that another plot has."""
    used = dict.fromkeys(re.findall(r'<[^>]*?(?:href="#|url\(#)([^")]+)', text))
    names = {old: f"{key}-{number}" for number, old in enumerate(used)}

    def renamed(tag: str) -> str:
        tag = re.sub(r' id="([^"]+)"', lambda m: f' id="{names[m[1]]}"' if m[1] in names else "", tag)
        tag = re.sub(r'(href="#|url\(#)([^")]+)', lambda m: m[1] + names[m[2]], tag)
        return tag.replace("xlink:href", "href")

    return _in_tags(renamed, text)


def _small(text: str, key: str) -> str:
    """The same with far fewer letters, and the page's font and colors."""
    text = _in_tags(_short, text)
    text = re.sub(r"\n\s*", "\n", text)
    text = re.sub(r'(?:<use href="[^"]*" x="[^"]*" y="[^"]*" style="[^"]*"/>\n){2,}', _together, text)
    return _classed(text, key)


def _short(tag: str) -> str:
    for color, variable in VARIABLES.items():
        tag = tag.replace(color, variable)
    tag = re.sub(r"font-family: [^;\"]*;? ?", "", tag)
    tag = re.sub(r' transform="rotate\(-?0 [^)]*\)"', "", tag)
    tag = re.sub(r"(\.\d\d)\d+", r"\1", tag)  # hundredths of a point
    return re.sub(r' ?\n ?(?=[A-Za-z"])|(?<=[A-Za-z]) (?=[-\d])', "", tag) if tag.startswith("<path") else tag


def _classed(text: str, key: str) -> str:
    """Styles that come again and again have a name."""
    counts = Counter(re.findall(r' style="([^"]*)"', text))
    names = {style: f"{key}-s{number}" for number, style in enumerate(s for s, count in counts.items() if count > 2)}
    rules = "".join(f".{name} {{ {style} }}\n" for style, name in names.items())

    def renamed(found: re.Match[str]) -> str:
        return f' class="{names[found[1]]}"' if found[1] in names else found[0]

    head, end, rest = _in_tags(lambda tag: re.sub(r' style="([^"]*)"', renamed, tag), text).partition(">")
    return f"{head}{end}\n<style>\n{rules}</style>{rest}" if rules else text


def _in_tags(change: Callable[[str], str], text: str) -> str:
    """Words between tags stay as they are."""
    return re.sub(r"<[^>]+>", lambda found: change(found[0]), text)


def _together(found: re.Match[str]) -> str:
    """Marks of one kind share their style."""
    marks = re.findall(r'<use (href="[^"]*" x="[^"]*" y="[^"]*") style="([^"]*)"/>\n', found[0])
    if len({style for _, style in marks}) > 1:
        return found[0]
    inside = "".join(f"<use {place}/>\n" for place, _ in marks)
    return f'<g style="{marks[0][1]}">\n{inside}</g>\n'
