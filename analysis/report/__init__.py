"""The report of a study, a comparison of several, and the paper's tables."""
