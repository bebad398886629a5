"""How far it is, on stderr: a bar on a terminal, a line for each figure elsewhere."""

import shutil
import sys
import time


class Progress:
    def __init__(self, seconds):
        self.total = max(seconds, 1)
        self.done = 0.0
        self.began = time.monotonic()
        self.is_terminal = sys.stderr.isatty()
        self.title = ""

    def begin(self, title):
        self.title = title
        if not self.is_terminal:
            print(f"{100 * min(self.done / self.total, 1):3.0f} %  {title}", file=sys.stderr, flush=True)

    def step(self, label, seconds):
        """Something that takes about so long begins."""
        share = min(self.done / self.total, 1)
        self.done += seconds
        if self.is_terminal:
            filled = round(30 * share)
            left = max(self.total - self.done + seconds, 0) / 60
            bar = "█" * filled + "░" * (30 - filled)
            line = f"{bar} {100 * share:3.0f} %  {left:.0f} min left  {self.title}: {label}"
            width = shutil.get_terminal_size().columns - 1
            print(f"\r\x1b[2K{line[:width]}", end="", file=sys.stderr, flush=True)

    def end(self):
        if self.is_terminal:
            print("\r\x1b[2K", end="", file=sys.stderr)
        print(f"measured in {(time.monotonic() - self.began) / 60:.1f} min", file=sys.stderr)
