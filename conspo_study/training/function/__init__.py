"""A trial whose training is a function of the user's, `train(params, seed, trial)`.

Each seed of a trial is one call of the function, in a process of its own (`child`), which sees the
trial as a `Trial`. The worker starts the calls (`call`), gives them turns and joins their reports
(`run`). What the process of a call imports is light.
"""

from conspo_study.training.function.errors import FunctionError
from conspo_study.training.function.trial import Trial, TrialStopped

__all__ = ["FunctionError", "Trial", "TrialStopped"]
