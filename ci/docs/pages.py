"""The Markdown files of the repository, and what the other scripts here look for in them: code blocks, links, anchors."""

import re
from dataclasses import dataclass, field
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).resolve().parents[2]

# What is installed or built has Markdown of its own.
NOT_OURS = {".git", "target", "node_modules", "dist"}

# GitHub's alerts, tables: the parser needs to be told of tables only.
_PARSER = MarkdownIt("commonmark").enable("table")


@dataclass
class Fence:
    """A fenced code block: its info string, text, and the line of its first line of text."""

    info: str
    text: str
    line: int


@dataclass
class Page:
    """A Markdown file."""

    path: Path
    fences: list[Fence] = field(default_factory=list)
    # (target, line)
    links: list[tuple[str, int]] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)

    @property
    def name(self) -> str:
        return self.path.relative_to(ROOT).as_posix()


def read(path: Path) -> Page:
    """Reads one file."""
    page = Page(path)
    slugs: dict[str, int] = {}
    tokens = _PARSER.parse(path.read_text(encoding="utf-8"))
    for index, token in enumerate(tokens):
        if token.type == "fence":
            page.fences.append(Fence(token.info.strip(), token.content, token.map[0] + 2))
        elif token.type == "heading_open":
            page.anchors.add(_slug(_plain(tokens[index + 1]), slugs))
        elif token.type == "html_block":
            page.anchors.update(re.findall(r'\b(?:id|name)="([^"]+)"', token.content))
        elif token.type == "inline":
            line = token.map[0] + 1
            for child in token.children or []:
                if child.type == "link_open":
                    page.links.append((child.attrs["href"], line))
                elif child.type == "image":
                    page.links.append((child.attrs["src"], line))
                elif child.type == "html_inline":
                    page.anchors.update(re.findall(r'\b(?:id|name)="([^"]+)"', child.content))
    return page


def all_pages() -> list[Page]:
    """Reads all Markdown files of the repository."""
    return [read(path) for path in sorted(_walk(ROOT))]


def _walk(folder: Path):
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            if entry.name not in NOT_OURS:
                yield from _walk(entry)
        elif entry.suffix == ".md":
            yield entry


def _plain(inline) -> str:
    return "".join(child.content for child in inline.children or [] if child.type in ("text", "code_inline"))


def _slug(text: str, seen: dict[str, int]) -> str:
    """The anchor of a heading, as GitHub and mdBook make it."""
    slug = "".join(c for c in text.strip().lower().replace(" ", "-") if c.isalnum() or c in "-_")
    count = seen.get(slug, 0)
    seen[slug] = count + 1
    return f"{slug}-{count}" if count else slug
