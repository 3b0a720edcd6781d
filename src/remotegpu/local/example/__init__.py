"""An example task, shipped as a file to submit; nothing of ours imports it."""
