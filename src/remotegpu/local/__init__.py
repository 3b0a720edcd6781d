"""The embedded platform: PostgreSQL, Valkey and an S3 server from wheels, then migrations, server, worker and agent.

``layout``, ``ports``, ``postgres``, ``valkey``, ``objects``, ``plan`` and ``schedule`` decide (no process, no network);
``processes`` is the one module that starts and ends processes; ``supervisor`` ties both together; ``platform`` is what
the command line and the demo call, ``services`` is the part that tests need (three services, no supervisor).
"""
