"""What is wrong with a model, to be told apart by those who load nothing else of the policy."""


class PolicyError(ValueError):
    """The policy's model cannot be trained as it is; starting again would only meet the same."""


class NoModelError(PolicyError, FileNotFoundError):
    """Where the model should be there is none."""
