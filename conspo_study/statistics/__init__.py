"""Arithmetic of experiments, on plain numbers: accuracy, paired spread, power.

`accuracy`: pass@k and maj@k. `paired_spread`: how much a difference of two settings varies from
seed to seed. `power`: power and detectable effect of the paired t-test (imports scipy).
"""
