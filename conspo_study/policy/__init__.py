"""The language model: from a configured name to a loaded model, and log-probabilities of responses.

Light modules: `models` and `sources` find a model's folder, `files` and `identity` check and hash
it, `errors` has PolicyError, `logits` the limits on logits. With torch: `load` loads and saves a
policy, `logprobs` scores responses, `lora` adapts a model, `sharding` divides it over workers,
`weights` gives its tensors to engines, `stop` its stop tokens, `warm_start` makes the embedded
model. All names are imported from these modules.
"""
