"""Commands for customers: sign in, find a machine, work on it, run tasks, fetch results."""
