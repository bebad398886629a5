"""One module for each figure: its NAME and TITLE, and how it is measured."""

from figures import burst, connections, handout, memory, refresh, start, store

ALL = [handout, connections, start, memory, burst, refresh, store]
