"""Run one trial through Ray as a study would: `one_trial.py SPEC.json`.

Prints every report that reaches Ray Tune as a line of JSON, and `{"ended": error}` at the end. The
cluster, its settings, the fork server and the driver function are the real ones; the search is not
there. `SLOW_S` in the environment is how many seconds the study takes to digest a report.
"""

import json
import os
import sys
import time
from pathlib import Path

from conspo_study.cluster.launch import RAY_SETTINGS, ray_cluster


def main():
    spec = json.loads(Path(sys.argv[1]).read_text())
    for name, value in RAY_SETTINGS.items():
        os.environ.setdefault(name, value)
    with ray_cluster():
        from ray import tune

        from conspo_study.cluster.trial import run_trial

        class Printer(tune.Callback):
            def on_trial_result(self, iteration, trials, trial, result, **info):
                names = ("step", "seeds", "incidents", "failure")
                say({name: result[name] for name in names if name in result})
                time.sleep(float(os.environ.get("SLOW_S", "0")))

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
        say({"ended": str(results[0].error or "")})


def say(what):
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    main()
