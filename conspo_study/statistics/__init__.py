"""Arithmetic of experiments, on plain numbers: accuracy, differences, power, importance.

`accuracy`: pass@k and maj@k. `paired_spread`: how much a difference of two settings varies from
seed to seed. `contrast`: a difference with its standard error. `importance`: the share of the
variance that a setting accounts for. `power`: power and detectable effect of the paired t-test (the
last and `contrast` import scipy).
"""
