"""The public API as a Python client: what the customers' CLI and the demo use.

``api`` sends one request and turns a refusal into an exception, ``tokens`` says who is asking, ``models`` are the
replies, ``logs`` and ``terminal`` the live channels. Talks HTTP only; imports nothing of the server.
"""
