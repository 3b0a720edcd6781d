"""From a configuration to the files that Docker Compose, nginx, PostgreSQL and Redis read. Pure but for ``writing``."""
