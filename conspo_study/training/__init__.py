"""A trial: a pure function of its configuration and seeds.

Read `loop.train`, then `seed_run.SeedRun.train_step`, then `policy_update.PolicyUpdate.run`.
"""
