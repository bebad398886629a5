"""What was measured, as Markdown with plots."""

from dataclasses import dataclass, field


@dataclass
class Bar:
    """What a figure should come to."""

    what: str
    wanted: str
    measured: str
    is_met: bool


@dataclass
class Section:
    """One figure."""

    name: str
    title: str
    text: str
    head: list
    rows: list
    bars: list = field(default_factory=list)
    # File name without its ending → SVG.
    plots: dict = field(default_factory=dict)
    after: str = ""


def table(head, rows):
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def bars(sections):
    rows = [
        [bar.what, bar.wanted, bar.measured, "yes" if bar.is_met else "**no**"]
        for section in sections
        for bar in section.bars
    ]
    return table(["", "bar", "measured", "met"], rows) if rows else ""


def section_text(section, plots):
    parts = [f"## {section.title}", section.text, table(section.head, section.rows)]
    parts += [f"![{section.title}]({plots}/{file}.svg)" for file in section.plots]
    return "\n\n".join([*parts, *filter(None, [section.after])])


def write(folder, intro, machine, sections):
    plots = folder / "plots"
    plots.mkdir(parents=True, exist_ok=True)
    for section in sections:
        for name, svg in section.plots.items():
            (plots / f"{name}.svg").write_text(svg)
    parts = [intro, bars(sections), *(section_text(section, "plots") for section in sections)]
    parts += ["## The machine, and what ran on it", table(["", ""], machine)]
    file = folder / "RESULTS.md"
    file.write_text("\n\n".join(filter(None, parts)) + "\n")
    return file
