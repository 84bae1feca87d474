"""Arithmetic of experiments: accuracy over samples, paired spread, power of the paired test."""
