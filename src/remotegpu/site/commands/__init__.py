"""What to run, as data. Pure; ``runner`` runs it."""
