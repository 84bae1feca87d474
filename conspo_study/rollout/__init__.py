"""Rollouts: samples responses from the policy and forms the groups that the objective compares.

`engine` defines what an engine does; `transformers_engine` samples from the trained model itself,
`vllm_engine` from vLLM in other processes (`engine_pool`, `vllm_actor`, `weight_memory`,
`weight_gpu`). `groups` forms groups, `metrics` describes responses, `ahead` stores responses that
are not trained on yet. All names are imported from these modules.
"""
