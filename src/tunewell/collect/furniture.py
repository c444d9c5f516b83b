"""The text of a web page without what surrounds it: scripts, menus, headers and footers, search boxes, cookie banners."""

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bs4 import BeautifulSoup, Tag

_NEVER_TEXT = ("script", "style", "noscript", "template", "iframe", "object", "svg", "canvas", "img", "picture", "video", "audio")
_CONTROLS = ("button", "input", "select", "textarea")
_FURNITURE_TAGS = ("nav", "header", "footer", "aside", "form", "dialog")
_FURNITURE_ROLES = ("navigation", "search", "banner", "contentinfo", "complementary", "dialog", "alertdialog")
_FURNITURE_WORDS = (
    *("nav", "navbar", "navigation", "menu", "breadcrumb", "breadcrumbs", "sidebar", "toc", "pagination", "pager"),
    *("header", "footer", "search", "cookie", "cookies", "consent", "gdpr", "newsletter", "share", "social", "advert", "ads"),
)
# Elsewhere such a word says what the text is: the name of a menu, a term that was searched for.
_BLOCKS = ("div", "section", "ul", "ol", "dl", "p")
_WORD = re.compile(r"[a-z]+")
_HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")


def without_furniture(html: str) -> str:
    """The page's main part as HTML: the one `main`, `role=main` or `article` where there is one, without furniture.

    Furniture goes by tag, by role, and by words in the class or id of a block. What holds most of the page's paragraphs is
    no furniture, whatever its name; of a header with the page's only title, the title stays.

    Known problem: menus that are built of nameless blocks stay in.

    >>> without_furniture('<body><nav>Home</nav><div class="top-menu">Log in</div><p>Payouts arrive at 18:00.</p></body>')
    '<body><p>Payouts arrive at 18:00.</p></body>'
    """
    from bs4 import BeautifulSoup, Comment

    soup = BeautifulSoup(html, "html.parser")
    for element in soup.find_all([*_NEVER_TEXT, *_CONTROLS]):
        element.decompose()
    for comment in soup.find_all(string=lambda text: isinstance(text, Comment)):
        comment.extract()
    root = _main_part(soup)
    titles = len(root.find_all("h1"))
    paragraphs = _paragraph_length(root)
    for element in root.find_all(_is_furniture):
        if element.decomposed or _holds_the_text(element, paragraphs):
            continue
        own_titles = element.find_all("h1")
        if own_titles and len(own_titles) == titles:
            element.replace_with(own_titles[0])
        else:
            element.decompose()
    _drop_permalinks(root)
    return str(root)


def _main_part(soup: "BeautifulSoup") -> "Tag":
    for candidates in (soup.find_all("main"), soup.find_all(role="main"), soup.find_all("article")):
        if len(candidates) == 1 and _has_text(candidates[0]):
            return candidates[0]
    return soup.body or soup


def _has_text(element: "Tag") -> bool:
    return any(map(str.isalnum, element.get_text()))


def _is_furniture(element: "Tag") -> bool:
    if element.name in _FURNITURE_TAGS or element.get("role") in _FURNITURE_ROLES:
        return True
    if element.name not in _BLOCKS:
        return False
    names = " ".join(str(name) for key in ("class", "id") for name in element.get_attribute_list(key) if name)
    return not set(_FURNITURE_WORDS).isdisjoint(_WORD.findall(names.lower()))


def _paragraph_length(element: "Tag") -> int:
    return sum(len(paragraph.get_text()) for paragraph in element.find_all("p"))


def _holds_the_text(element: "Tag", paragraphs: int) -> bool:
    return element.find(["main", "article"]) is not None or 2 * _paragraph_length(element) > paragraphs > 0


def _drop_permalinks(root: "Tag") -> None:
    for heading in root.find_all(_HEADINGS):
        for link in heading.find_all("a"):
            if not _has_text(link):
                link.decompose()
