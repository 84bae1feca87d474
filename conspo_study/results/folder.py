"""Names of files in a results directory."""

FAILURE = "failure.txt"
"""In a trial's folder: the whole cause of its failure, and where in the code it happened."""
