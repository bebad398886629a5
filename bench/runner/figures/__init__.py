"""One module for each figure: its NAME and TITLE, about how many seconds it takes, and how it is measured."""

from figures import burst, cached, features, library, memory, refresh, start, tls

ALL = [cached, features, tls, start, memory, burst, refresh, library]
