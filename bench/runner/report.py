"""What was measured, as Markdown."""

from dataclasses import dataclass, field


@dataclass
class Target:
    """What a figure should come to."""

    what: str
    wanted: str
    measured: str
    is_met: bool

    @classmethod
    def at_most(cls, what, limit, value, shown, wanted=None):
        return cls(what, f"≤ {wanted or limit}", shown, value <= limit)

    @classmethod
    def at_least(cls, what, limit, value, shown):
        return cls(what, f"≥ {limit}", shown, value >= limit)


@dataclass
class Section:
    """One figure."""

    title: str
    text: str
    head: list
    rows: list
    targets: list = field(default_factory=list)


def table(head, rows):
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def targets(sections):
    rows = [
        [target.what, target.wanted, target.measured, "yes" if target.is_met else "**no**"]
        for section in sections
        for target in section.targets
    ]
    return table(["", "target", "measured", "met"], rows)


def write(file, intro, machine, sections):
    file.parent.mkdir(parents=True, exist_ok=True)
    parts = [intro, targets(sections)]
    for section in sections:
        parts += [f"## {section.title}", section.text, table(section.head, section.rows)]
    parts += ["## The machine", machine]
    file.write_text("\n\n".join(parts) + "\n")
