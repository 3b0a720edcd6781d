"""The main job as a process: ``python -m stack.site.journey URL EMAIL``, the password as its first line."""

import asyncio
import sys

from remotegpu.local.demo.journey import Journey
from remotegpu.local.demo.report import Report, StepFailedError
from stack.site import door

if __name__ == "__main__":
    door.enter()
    report = Report()
    try:
        asyncio.run(Journey(sys.argv[1], sys.argv[2], sys.stdin.readline().strip(), report).run())
    except StepFailedError:
        sys.exit(1)
