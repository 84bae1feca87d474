"""Sends a study to TensorBoard, Weights & Biases or trackio, from its results directory.

Each tracker is a separate process that reads the stored results: training never waits for it and is
not affected by its failure, and an ended study can be sent as well.
"""
