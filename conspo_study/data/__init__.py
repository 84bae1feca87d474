"""Where problems come from: the generated arithmetic task, problem files, and their order."""
