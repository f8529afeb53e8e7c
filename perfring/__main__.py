"""``python -m perfring``: the same as ``perfring``."""

from __future__ import annotations

import sys

from perfring.cli import main

if __name__ == "__main__":
    sys.exit(main())
