"""``remotegpu`` whose server remembers pages and people for a minute: a forgotten message then shows in a test."""

from remotegpu.cli import main
from remotegpu.server.domains.auth import callers
from remotegpu.server.domains.machines import lists

REMEMBER_SECONDS = 60.0

if __name__ == "__main__":
    for module in (callers, lists):
        assert module.REMEMBER_SECONDS < REMEMBER_SECONDS
        module.REMEMBER_SECONDS = REMEMBER_SECONDS
    main.main()
