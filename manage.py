#!/usr/bin/env python
"""Django's door to this project; `sentrascan` is the same under a friendlier name."""

import sys

from sentrascan_project.cli import main

if __name__ == "__main__":
    sys.exit(main())
