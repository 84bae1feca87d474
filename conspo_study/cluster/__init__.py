"""Ray runs a study: launch, trials under Tune and Train, failures, names, exported metrics.

Floor: above `training`, `search` and `terminal`; the only wing, besides engines and the fork
server, that imports Ray.
"""
