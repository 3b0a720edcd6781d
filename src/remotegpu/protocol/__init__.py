"""Wire types between agent and server. The types live here once; both sides import them.

Nothing here does I/O. ``version`` decides compatibility, ``sync`` is the long-poll,
``enrolment`` the first contact, ``attempts`` the task traffic, ``streams`` the byte channels.
``audit_trail`` is how the server seals its trail, for whoever verifies a copy of it.
"""
