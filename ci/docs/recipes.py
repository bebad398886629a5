"""Has the program read every configuration file that the documentation shows: each block of `toml` must be one that it takes.

`…` stands for the hash of an API key. Blocks for other programs (Cargo's) are left alone. A block of `nginx` must be in the file that
`ci/check interop-nginx` runs.
"""

import functools
import itertools
import re
import sys

import pages
import program

# What the configuration of Cargo begins its sections with.
CARGO = re.compile(r"^\[(package|dependencies|dev-dependencies|workspace|features|profile\b)", re.MULTILINE)


def with_hashes(text: str) -> str:
    """Puts a hash in the place of each `…`, none twice."""
    hashes = itertools.count(1)
    in_line = functools.partial(re.sub, '"…"', lambda _: f'"{next(hashes):064x}"')
    return re.sub(r"^\s*sha256 = .*", lambda line: in_line(line[0]), text, flags=re.MULTILINE)


def main() -> int:
    problems = []
    count = 0
    tried_by_nginx = (pages.ROOT / "deploy/nginx/token-provider.conf").read_text(encoding="utf-8")
    for page in pages.all_pages():
        for fence in page.fences:
            if fence.info == "nginx" and fence.text not in tried_by_nginx:
                problems.append(f"{page.name}:{fence.line}: not as in deploy/nginx/token-provider.conf")
            if fence.info.split(" ")[0] != "toml" or CARGO.search(fence.text):
                continue
            count += 1
            for problem in program.problems(with_hashes(fence.text)):
                line = re.match(r"c\.toml:(\d+)", problem)
                at = fence.line + (int(line[1]) - 1 if line else 0)
                problems.append(f"{page.name}:{at}: {problem}")
    for problem in problems:
        print(problem)
    print(f"recipes: {count} configuration files, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
