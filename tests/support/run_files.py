"""Made-up runs of five settings and five seeds, and files that hold them."""

import csv
import io
import json

import numpy as np

SETTINGS = {"grpo": 0.60, "tau 0.3": 0.62, "tau 1": 0.66, "tau 10": 0.605, "linear": 0.50}


def five_by_five(seed=1):
    """accuracy[setting][seed]: seeds share what they have in common."""
    rng = np.random.default_rng(seed)
    shared = rng.normal(0, 0.02, 5)
    return {
        name: {s: float(mean + shared[s] + rng.normal(0, 0.012)) for s in range(5)}
        for name, mean in SETTINGS.items()
    }


def table(values, metric="accuracy"):
    """The values as a table with a row each."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["setting", "seed", metric])
    for name, by_seed in values.items():
        writer.writerows([name, seed, repr(value)] for seed, value in by_seed.items())
    return text.getvalue()


def trl_history(value, steps=(10, 20, 30), metric="eval_reward"):
    """What TRL logs: rows of training and of evaluation, the last with `value`."""
    rows = []
    for step in steps:
        rows.append({"step": step, "epoch": step / 100, "loss": 0.1, "learning_rate": 1e-6})
        rows.append({"step": step, metric: value - (steps[-1] - step) / 1000, "epoch": 0.1})
    return [*rows, {"step": steps[-1], "train_runtime": 12.5, "total_flos": 0.0}]


def verl_lines(value, steps=(10, 20, 30), metric="val-core/math/acc/mean@1"):
    """Lines of verl's file logger."""
    data = [{metric: value - (steps[-1] - step) / 1000, "actor/lr": 1e-6} for step in steps]
    lines = [{"step": step, "data": row} for step, row in zip(steps, data, strict=True)]
    return "".join(json.dumps(line) + "\n" for line in lines)


def wandb_chart(values, metric="eval/acc", step=40):
    """A chart of all runs as W&B exports it, with one column per run and its edges."""
    runs = {f"{name}-s{s}": v for name, by_seed in values.items() for s, v in by_seed.items()}
    titles, first, last = ["Step"], ["20"], [str(step)]
    for run, value in runs.items():
        for edge in ("", "__MIN", "__MAX"):
            titles.append(f"{run} - {metric}{edge}")
            first.append("")
            last.append(repr(value))
    text = io.StringIO()
    csv.writer(text).writerows([titles, first, last])
    return text.getvalue()


def tensorboard_table(value, steps=(10, 20, 30)):
    """The export of one run's curve."""
    rows = [f"1700000000.{step},{step},{value - (steps[-1] - step) / 1000!r}" for step in steps]
    return "\n".join(["Wall time,Step,Value", *rows]) + "\n"
