"""Checks over what was rendered, as it lies in the files."""
