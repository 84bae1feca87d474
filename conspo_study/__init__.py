"""Hyperparameter studies of ConSPO and its relatives on Ray Train, Ray Tune and Optuna."""

__version__ = "0.1.0"
