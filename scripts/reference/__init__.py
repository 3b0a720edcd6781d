"""One module per generated page; each has a function that returns the text."""
