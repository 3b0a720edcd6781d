"""The command line, killed where it stands: ``python -m stack.site.killed WHAT STEP STATE COMMAND...``.

SIGKILL as soon as the journal has the word ``STATE`` on ``STEP`` of a run of kind ``WHAT``: nothing is tidied up.
With ``DIE_BY=SIGSTOP`` in its environment it only stops, and holds on to what it has.
"""

import os
import signal
import sys

from remotegpu.cli.main import run
from remotegpu.site.journal import Entry, Journal


def die_after(what: str, step: str, state: str) -> None:
    real = Journal.write

    def write_and_die(self: Journal, entry: Entry) -> None:
        real(self, entry)
        if (entry.what, entry.step, entry.state) == (what, step, state):
            os.kill(os.getpid(), signal.Signals[os.environ.get("DIE_BY", "SIGKILL")])

    Journal.write = write_and_die


if __name__ == "__main__":
    die_after(*sys.argv[1:4])
    sys.exit(run(sys.argv[4:]))
