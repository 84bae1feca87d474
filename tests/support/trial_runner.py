"""Run trials through Ray as a study would, one after another, on one Ray.

Each line of standard input is `{"spec": a trial's, "slow_s": seconds}`: how long the study takes to
digest a report. Prints every report that reaches Ray Tune as a line of JSON, and
`{"ended": error}` when a trial ends. The cluster, its settings, the fork server and the driver
function are the real ones; there is no search.
"""

import json
import os
import sys
import time
from pathlib import Path

from conspo_study.cluster.connection import RAY_SETTINGS, ray_cluster


def main():
    for name, value in RAY_SETTINGS.items():
        os.environ.setdefault(name, value)
    with ray_cluster():
        for line in sys.stdin:
            run(**json.loads(line))


def run(spec, slow_s):
    from ray import tune

    from conspo_study.cluster.trial import run_trial

    class Printer(tune.Callback):
        def on_trial_result(self, iteration, trials, trial, result, **info):
            names = ("step", "seeds", "incidents", "failure")
            tell({name: result[name] for name in names if name in result})
            time.sleep(slow_s)

    results = tune.Tuner(
        tune.with_resources(run_trial, {"CPU": 0, "node:__internal_head__": 0.001}),
        param_space=spec,
        run_config=tune.RunConfig(
            name="tune",
            storage_path=str(Path(spec["results"]) / "ray"),
            verbose=0,
            failure_config=tune.FailureConfig(max_failures=2),
            callbacks=[Printer()],
        ),
    ).fit()
    tell({"ended": str(results[0].error or "")})


def tell(what):
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    main()
