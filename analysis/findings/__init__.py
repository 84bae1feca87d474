"""What the results of a study say: comparisons, confirmation, gaps, sentences."""
