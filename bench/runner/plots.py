"""Bar charts as SVG, readable on a light and on a dark page."""

import math
from html import escape

from stats import median, quartiles, text

MARGIN, WIDTH, LABELS, VALUES, ROW, TOP = 60, 760, 210, 150, 30, 46

STYLE = """
text { font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #1f2328; }
.title { font-weight: 600; font-size: 14px; }
.note { fill: #59636e; font-size: 12px; }
.other { fill: #9aa4af; }
.ours { fill: #0969da; }
.spread { stroke: #1f2328; stroke-width: 1.5; }
.wanted { stroke: #1a7f37; stroke-width: 2; stroke-dasharray: 4 3; }
.wanted-text { fill: #1a7f37; font-size: 12px; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; }
  .note { fill: #9198a1; }
  .other { fill: #656c76; }
  .ours { fill: #4493f8; }
  .spread { stroke: #e6edf3; }
  .wanted { stroke: #3fb950; }
  .wanted-text { fill: #3fb950; }
}
"""


def chart(title, unit, rows, note="", wanted=None, logarithmic=False):
    """One bar for each of (label, values, is_ours); `wanted` is (label, value) of a line across them.

    A bar is as long as the median; the thin line is the middle half of the values.
    """
    tops = [quartiles(values)[1] for _, values, _ in rows] + ([wanted[1]] if wanted else [])
    top = max(tops) or 1
    room = WIDTH - LABELS - VALUES
    floor = min(value for _, values, _ in rows for value in values if value > 0) / 2 if logarithmic else 0

    def x(value):
        if not logarithmic:
            return LABELS + room * value / top
        return LABELS + room * max(math.log(max(value, floor) / floor) / math.log(top / floor), 0)

    height = TOP + ROW * len(rows) + 24
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{MARGIN + WIDTH}" height="{height}" '
        f'viewBox="{-MARGIN} 0 {MARGIN + WIDTH} {height}" role="img">',
        f"<title>{escape(title)}</title>",
        f"<style>{STYLE}</style>",
        f'<text class="title" x="{-MARGIN}" y="16">{escape(title)}</text>',
    ]
    scale = "logarithmic scale" if logarithmic else ""
    parts.append(f'<text class="note" x="{-MARGIN}" y="34">{escape("; ".join(filter(None, [note, scale])))}</text>')
    for number, (label, values, is_ours) in enumerate(rows):
        y = TOP + ROW * number
        low, high = quartiles(values)
        middle = median(values)
        kind = "ours" if is_ours else "other"
        parts.append(f'<text x="{LABELS - 8}" y="{y + 18}" text-anchor="end">{escape(label)}</text>')
        width = max(x(middle) - LABELS, 1)
        parts.append(f'<rect class="{kind}" x="{LABELS}" y="{y + 4}" width="{width:.1f}" height="20" rx="2"/>')
        parts.append(f'<line class="spread" x1="{x(low):.1f}" x2="{x(high):.1f}" y1="{y + 14}" y2="{y + 14}"/>')
        shown = text(middle, unit)
        parts.append(f'<text x="{max(x(high), x(middle)) + 8:.1f}" y="{y + 18}">{escape(shown)}</text>')
    if wanted:
        label, value = wanted
        bottom = TOP + ROW * len(rows)
        parts.append(f'<line class="wanted" x1="{x(value):.1f}" x2="{x(value):.1f}" y1="{TOP}" y2="{bottom + 2}"/>')
        anchor = "end" if x(value) > WIDTH * 0.7 else "start"
        parts.append(
            f'<text class="wanted-text" x="{x(value):.1f}" y="{bottom + 17}" text-anchor="{anchor}">{escape(label)}</text>'
        )
    return "\n".join([*parts, "</svg>", ""])
