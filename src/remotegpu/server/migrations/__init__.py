"""Schema changes: ``NNNN_pre_slug`` runs before the code it belongs to, ``NNNN_post_slug`` after it."""
