"""Looks up every link inside the repository that its Markdown has: the file must be there, and the anchor in it."""

import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pages


def problem(page: pages.Page, target: str, known: dict[Path, pages.Page]) -> str | None:
    """Says what is wrong with a link."""
    parts = urlsplit(target)
    if parts.scheme or parts.netloc:
        return None
    path = page.path if not parts.path else (page.path.parent / unquote(parts.path)).resolve()
    if not path.is_relative_to(pages.ROOT):
        return "leads out of the repository"
    if not path.exists():
        return "there is no such file"
    if not parts.fragment:
        return None
    if path.suffix != ".md":
        return "has an anchor, and is no Markdown"
    if unquote(parts.fragment) not in known[path].anchors:
        return "there is no such heading"
    return None


def main() -> int:
    known = {page.path: page for page in pages.all_pages()}
    count = failures = 0
    for page in known.values():
        for target, line in page.links:
            count += 1
            if what := problem(page, target, known):
                print(f"{page.name}:{line}: {target}: {what}")
                failures += 1
    print(f"links: {count} in {len(known)} files, {failures} wrong")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
