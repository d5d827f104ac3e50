"""Public data sets: where they are, under which terms, and how what was downloaded is laid out for the recipes."""
