"""``python -m waybill``: the command line."""

import sys

from waybill.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
