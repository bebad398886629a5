"""Builds the documentation as a site, in target/docs/site, and looks up every link in it.

docs/SUMMARY.md lists the pages, some of which are elsewhere in the repository. They are laid out below target/docs/src as they
are in the repository, with the files that they link to, so that links are the same in both.

    site.py MDBOOK      the program
"""

import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pages

TARGET = Path(os.environ.get("CARGO_TARGET_DIR", pages.ROOT / "target")) / "docs"
SUMMARY = pages.ROOT / "docs" / "SUMMARY.md"


def lay_out(source: Path) -> list[str]:
    """Copies what the site is made of, and returns what is missing from the summary."""
    shutil.rmtree(source, ignore_errors=True)
    source.mkdir(parents=True)
    listed = {within(SUMMARY, target) for target, _ in pages.read(SUMMARY).links}
    for path in listed:
        to = place(path, source)
        to.parent.mkdir(parents=True, exist_ok=True)
        to.write_text(with_links(path, listed), encoding="utf-8")
        for target, _ in pages.read(path).links:
            # Pages that are not in the summary are files like others.
            if not urlsplit(target).scheme and (linked := within(path, target)).is_file() and linked not in listed:
                to = source / linked.relative_to(pages.ROOT)
                to.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(linked, to)
    from_root = lambda match: f"]({place(within(SUMMARY, match[1]), Path())})"
    (source / "SUMMARY.md").write_text(re.sub(r"\]\(([^)]+)\)", from_root, SUMMARY.read_text(encoding="utf-8")), encoding="utf-8")
    for name in ("book.toml", "site.css"):
        shutil.copy(SUMMARY.with_name(name), source.parent / name)
    unlisted = set(SUMMARY.parent.glob("**/*.md")) - listed - {SUMMARY}
    return [f"docs/SUMMARY.md: {path.relative_to(pages.ROOT)} is not in it" for path in sorted(unlisted)]


def within(page: Path, target: str) -> Path:
    """Where a link in a page leads."""
    path = unquote(urlsplit(target).path)
    return (page.parent / path).resolve() if path else page


def place(path: Path, source: Path) -> Path:
    """Where a page of the site is laid out. mdBook makes index.html of a README.md, but does not have links follow."""
    name = "index.md" if path.name == "README.md" else path.name
    return source / path.relative_to(pages.ROOT).with_name(name)


def with_links(path: Path, listed: set[Path]) -> str:
    """The text of a page, with links as the site needs them: to where pages are laid out, and none to folders."""

    def moved(match: re.Match[str]) -> str:
        text, target = match.groups()
        if urlsplit(target).scheme:
            return match[0]
        linked = within(path, target)
        if linked.is_dir() and linked / "README.md" in listed:
            target, linked = f"{target.rstrip('/')}/README.md", linked / "README.md"
        if linked.is_dir():
            return text
        if linked in listed:
            target = re.sub(r"README\.md(?=#|$)", "index.md", target)
        return f"[{text}]({target})"

    return re.sub(r"\[([^\]]*)\]\(([^)\s]+)\)", moved, path.read_text(encoding="utf-8"))


class Html(HTMLParser):
    """The links and anchors of a page of the site."""

    def __init__(self, path: Path):
        super().__init__()
        self.links: set[str] = set()
        self.anchors = {""}
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if value is None:
                continue
            if name == "id" or (tag == "a" and name == "name"):
                self.anchors.add(value)
            elif name in ("href", "src"):
                self.links.add(value)


def broken(site: Path) -> list[str]:
    """Returns each link in the site that leads nowhere."""
    known = {path: Html(path) for path in site.rglob("*.html")}
    problems = []
    for path, html in known.items():
        for link in sorted(html.links):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            # The page that is shown for what is not there has links from the root.
            to = (path.parent / unquote(parts.path).lstrip("/")).resolve() if parts.path else path
            to = to / "index.html" if to.is_dir() else to
            fragment = unquote(parts.fragment)
            if not to.exists() or (to in known and fragment not in known[to].anchors):
                problems.append(f"site: {path.relative_to(site)}: {link} leads nowhere")
    return problems


def main(mdbook: str) -> int:
    missing = lay_out(TARGET / "src")
    site = TARGET / "site"
    subprocess.run([mdbook, "build", TARGET, "--dest-dir", site], check=True)
    problems = missing + broken(site)
    for problem in problems:
        print(problem)
    print(f"site: {site}/index.html, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
