"""Remote access: one SSH server inside the agent, reachable only through streams the agent itself dialled.

``gateway`` is what the agent talks to. ``streams`` and ``transport`` carry bytes, ``server`` and ``authorization``
decide who may come in, ``session`` gives a shell, a command or SFTP. ``shells`` and ``hosts`` keep web shells alive
across connections and restarts of the agent.
"""
