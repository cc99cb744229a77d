"""The version of this program, from the installed distribution."""

import importlib.metadata

VERSION = importlib.metadata.version("waybill-sidecar")
