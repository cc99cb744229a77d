"""``make demo LLM=stub``: the demo with the stand-in as language model; nothing leaves the machine.

Usage: ``python -m tests.labelling.llm.demo [--once] [KEY=VALUE ...]``
"""

from __future__ import annotations

import asyncio
import os
import sys

from tests.labelling.llm.standin import Standin
from waybill.cli.demo.play import demo
from waybill.settings.sources import load_settings


async def main(arguments: list[str]) -> None:
    """Run the demo with ``arguments`` as further settings."""
    async with Standin().running() as standin:
        overrides = ["llm.provider=groq", f"llm.base_url={standin.url}", "llm.store=memory"]
        overrides += [argument for argument in arguments if argument != "--once"]
        settings = load_settings(
            overrides=overrides, environ={**os.environ, "WAYBILL_LLM_API_KEY": "stand-in"}
        )
        print(
            f"The language model is a stand-in on {standin.url}: it goes by a few words of each line."
        )
        await demo(settings, is_once="--once" in arguments)
        lines = len(standin.lines)
        print(
            f"The stand-in was asked about {lines} lines (canaries included) in {len(standin.calls)} calls."
        )


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
