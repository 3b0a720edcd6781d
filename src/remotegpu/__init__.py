"""RemoteGPU: turns a company's own GPU machines into a service for its customers."""

__version__ = "0.1.0"
