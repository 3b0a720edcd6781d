"""Bringing a release into service beside the one that serves, and taking it back when it does not do."""
