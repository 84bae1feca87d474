"""Scores, intervals, bootstrap, accuracy over samples: arithmetic on arrays."""
