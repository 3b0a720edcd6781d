"""Running task attempts.

``attempt_host`` is the small process that owns one attempt and survives the agent; ``host_runner`` starts and finds
such processes; ``lifecycle`` carries an attempt from start to its final report; ``log_shipping`` and ``artifacts``
bring its output to the server.
"""
