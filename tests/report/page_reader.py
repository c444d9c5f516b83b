"""The report as a browser's parser sees it: elements with their attributes and the text inside."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

_VOID = {"meta", "link", "br", "img", "input", "hr"}


@dataclass
class Node:
    """An element."""

    tag: str
    attributes: dict[str, str]
    parent: "Node | None" = None
    children: list["Node | str"] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(child if isinstance(child, str) else child.text for child in self.children)

    def find(self, tag: str = "", **attributes: str) -> Iterator["Node"]:
        """All elements below with this tag and these attributes (`class_` for class, `data_x` for data-x)."""
        wanted = {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items()}
        for child in self.children:
            if isinstance(child, Node):
                fits = all(value in child.attributes.get(name, "").split() for name, value in wanted.items())
                if fits and tag in ("", child.tag):
                    yield child
                yield from child.find(tag, **attributes)

    def numbers(self) -> list[float]:
        """The exact values of the `data` elements below."""
        return [float(node.attributes["value"]) for node in self.find("data")]


@dataclass
class Page:
    """A parsed page and its source."""

    source: str
    root: Node

    def section(self, name: str) -> Node:
        return next(self.root.find(id=name))


class _Builder(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = self.here = Node("", {})

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        node = Node(tag, {name: value or "" for name, value in attrs}, self.here)
        self.here.children.append(node)
        if tag not in _VOID:
            self.here = node

    def handle_endtag(self, tag: str) -> None:
        assert self.here.tag == tag, f"</{tag}> closes <{self.here.tag}>"
        assert self.here.parent is not None
        self.here = self.here.parent

    def handle_data(self, data: str) -> None:
        self.here.children.append(data)


def read_page(path: Path) -> Page:
    """Parse a page; every element must be closed by its own end tag."""
    source = path.read_text(encoding="utf-8")
    builder = _Builder()
    builder.feed(source)
    builder.close()
    assert builder.here is builder.root, f"<{builder.here.tag}> is never closed"
    return Page(source, builder.root)
