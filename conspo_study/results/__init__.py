"""The results directory: the log that is the truth, rows, snapshots and the table made of them."""
