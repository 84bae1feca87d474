"""A results directory, the published numbers and their text, read into memory."""
