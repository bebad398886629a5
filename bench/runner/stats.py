"""Medians, ratios, and numbers as people read them."""

import statistics


def median(values):
    return statistics.median(values)


def compare(values, others):
    """The median of the ratios of the same rounds, and how it is written: with the middle half of the ratios."""
    ratios = [value / other for value, other in zip(values, others, strict=True)]
    if len(ratios) < 2:
        return ratios[0], text(ratios[0], "ratio")
    low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
    return middle, f"{text(middle, 'ratio')} ({text(low, 'ratio')} – {text(high, 'ratio')})"


UNITS = {
    "seconds": [(1, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns")],
    "bytes": [(2**20, "MiB"), (2**10, "KiB"), (1, "B")],
    "rate": [(1000, "k/s"), (1, "/s")],
    "ratio": [(1, "")],
}


def text(value, unit):
    """Three digits, in the unit that suits."""
    scale, name = next(((scale, name) for scale, name in UNITS[unit] if abs(value) >= scale), UNITS[unit][-1])
    value /= scale
    if abs(value) >= 100:
        digits = f"{value:,.0f}"
    else:
        digits = f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
    return f"{digits} {name}".strip()
