"""A study in TensorBoard, Weights & Biases or trackio, sent there from its results directory.

Each tracker is a process of its own that reads what the study has stored: whatever becomes of it,
training neither waits for it nor notices. For the same reason a study that has ended can be sent.
"""
