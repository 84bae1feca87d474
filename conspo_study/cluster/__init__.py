"""Ray runs a study: launch, trials under Tune and Train, failures, names, exported metrics."""
