"""Parts that several verbs share: console, options, progress, stopping."""
