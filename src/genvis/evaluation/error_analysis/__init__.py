"""Analysis of errors: kinds, and how much average precision each costs."""
