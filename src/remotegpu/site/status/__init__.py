"""Whether a site is well: ``gathering`` looks, ``judging`` says what it means, and neither changes anything."""
