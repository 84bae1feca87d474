"""Objectives on scores in verl 0.9: an advantage estimator and a policy loss named `conspo`.

    algorithm.adv_estimator=conspo
    actor_rollout_ref.actor.policy_loss.loss_mode=conspo
    +algorithm.conspo.objective=conspo +algorithm.conspo.tau=10

verl finds `plugin` through the entry point group `verl.plugins` in each of its processes.
`estimator` runs in the driver, where whole groups are; `policy_loss` runs in the workers, on
micro-batches of any composition.
"""
