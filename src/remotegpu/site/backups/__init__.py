"""Backups of a site, their restoring, and the drills that prove it: all of it runs in the ``backup`` container.

PostgreSQL is saved twice, in two ways: by ``pg_dump``, which any later version reads, and by pgBackRest, whose base
backups and WAL bring back any moment. Redis and the object store are copied. Each backup is a folder with a manifest;
a folder without one is what a crash left behind.
"""
