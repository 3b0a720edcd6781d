"""All images of a site at once: which there are, carried to a site without a registry, and pinned by digest."""
