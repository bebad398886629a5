"""Medians, how far values spread, and numbers as people read them."""

import statistics


def median(values):
    return statistics.median(values)


def quartiles(values):
    if len(values) < 2:
        return values[0], values[0]
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, high


def ratios(values, others):
    """Of values from the same rounds."""
    return [value / other if other else float("inf") for value, other in zip(values, others, strict=True)]


UNITS = {
    "seconds": [(1, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns")],
    "bytes": [(2**20, "MiB"), (2**10, "KiB"), (1, "B")],
    "rate": [(1000, "k/s"), (1, "/s")],
    "count": [(1, "")],
    "ratio": [(1, "×")],
}


def text(value, unit):
    """Three digits, in the unit that suits."""
    scale, name = next(((scale, name) for scale, name in UNITS[unit] if abs(value) >= scale), UNITS[unit][-1])
    value /= scale
    if unit == "count" or abs(value) >= 100:
        digits = f"{value:,.0f}"
    else:
        digits = f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
    return f"{digits} {name}".strip()


def spread(values, unit):
    """The median, and between which the middle half lies."""
    low, high = quartiles(values)
    return f"{text(median(values), unit)} ({text(low, unit)} – {text(high, unit)})"
