"""From token weights to an optimiser step, on any number of workers, and to a checkpoint.

`gradient.MicroBatchedPolicy` scores responses and back-propagates token weights, `step.Updater`
applies gradients, `world.World` is the workers seen from one of them, `checkpoint_store` keeps
checkpoints. The package itself imports nothing: `errors` is read by processes without torch.
"""
