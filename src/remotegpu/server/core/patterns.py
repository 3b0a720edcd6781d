"""Parts of regular expressions for what people send."""

AT_END = r"$(?!\n)"
"""The very end. ``$`` alone also matches before a last line break (in Python, not in JSON Schema)."""
WITHOUT_NUL = r"^[^\x00]*$"
"""Any text that PostgreSQL and programs can hold."""
NO_NUL = "text without NUL characters"
"""The same, in words."""
