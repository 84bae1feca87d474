"""Measuring a policy on problems that it is never trained on."""
